"""A member of the stream as a process of its own, for tests that kill it.

python stream_member.py SETTINGS_JSON SOURCE
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stream_feed import RULES

from data_engineering.orchestration.stream_setup import open_source, serve
from data_engineering.settings import Settings
from data_engineering.storage.database import open_engine


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    settings = Settings(**json.loads(sys.argv[1]))
    assert settings.timeseries_url is not None
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    engine = open_engine(settings.timeseries_url.get_secret_value(), "ingest")
    service = serve(
        settings,
        engine,
        open_source(sys.argv[2], settings, follow=True),
        rules=RULES,
        stop=stop,
    )
    engine.dispose()
    print(service.health.member.messages, flush=True)


if __name__ == "__main__":
    main()
