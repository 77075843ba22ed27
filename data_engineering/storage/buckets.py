"""The bucket of a deployment's MinIO, and the platform's user in it, who has that bucket only.

S3 itself knows no users; MinIO's administration does, through MinIO's own client. In another store
bucket and user are made by its own means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from data_engineering.model.errors import BadInput, ObjectStoreFailed, ObjectStoreRefused


def ensure_bucket(
    endpoint: str, bucket: str, admin: tuple[str, str], user: tuple[str, str]
) -> bool:
    """Make bucket and user where they are missing, and give the user the bucket; whether it is new.

    Args:
        endpoint: ``http(s)://host:port`` of MinIO.
        bucket: its name.
        admin: name and password of MinIO's administrator.
        user: access key and secret key of the platform; a user that is there gets this secret.

    Raises:
        BadInput: the endpoint is not usable.
        ObjectStoreFailed: MinIO does not answer.
        ObjectStoreRefused: MinIO does not let the administrator in, or refuses a value.
    """
    from minio import Minio, MinioAdmin
    from minio.credentials import StaticProvider

    server = urlsplit(endpoint)
    if server.scheme not in ("http", "https") or not server.netloc:
        raise BadInput("S3 endpoint", endpoint, "give http(s)://host:port")
    options: dict[str, Any] = {
        "endpoint": server.netloc,
        "credentials": StaticProvider(*admin),
        "secure": server.scheme == "https",
    }
    with _errors(f"{endpoint}/{bucket}"):
        client, management = Minio(**options), MinioAdmin(**options)
        new = not client.bucket_exists(bucket_name=bucket)
        if new:
            client.make_bucket(bucket_name=bucket)
        management.policy_add(bucket, policy=policy(bucket))
        management.user_add(*user)
        management.policy_set(bucket, user=user[0])
    return new


def policy(bucket: str) -> dict[str, Any]:
    """Everything that the platform does with its objects, in this bucket and no other."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetBucketLocation",
                    "s3:ListBucket",
                    "s3:ListBucketMultipartUploads",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            },
        ],
    }


@contextmanager
def _errors(where: str) -> Iterator[None]:
    from minio.error import MinioAdminException, MinioException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except HTTPError as error:
        remedy = "see that it runs and that its URL is right"
        raise ObjectStoreFailed(where, " ".join(str(error).split())[:300], remedy) from None
    except (MinioAdminException, MinioException, ValueError) as error:
        remedy = "correct its administrator's password or the value"
        raise ObjectStoreRefused(where, " ".join(str(error).split())[:300], remedy) from None
