# The queue of docs/EXCHANGE.md: every step is one rename, which is atomic on one file system.

const STALE_SECONDS, MOST_ATTEMPTS = 30.0, 3

"""A folder that clients and solvers share, and the name of this solver in it."""
struct Queue
    root::String
    worker::String
end

function Queue(root::AbstractString)
    mkpath(root)
    for name in ("new", "incoming", "working", "done", "failed", "solvers")
        path = joinpath(root, name)
        ispath(path) && continue
        # A group that clients and solvers share reaches them as it reaches the queue itself.
        mkpath(path)
        chmod(path, filemode(root) & 0o7777)
    end
    # What solvers that were killed left behind, a day later.
    for path in readdir(joinpath(root, "solvers"); join=true)
        time() - mtime(path) > 86_400 && rm(path; force=true)
    end
    start = bytes2hex(sha256("$(gethostname()) $(getpid()) $(time_ns())"))[1:8]
    return Queue(abspath(root), "$(gethostname())-$(getpid())-$start")
end

within(q::Queue, parts...) = joinpath(q.root, parts...)

"""Rename, and whether it was possible. `mv` of the library copies where a rename fails."""
renamed(from, to) = ccall(:rename, Cint, (Cstring, Cstring), from, to) == 0

"""Claim the request that waits longest; its folder, or nothing."""
function claim!(q::Queue)
    waiting = [(mtime(within(q, "incoming", id)), id) for id in readdir(within(q, "incoming"))]
    for (_, id) in sort!(waiting)
        folder = within(q, "working", "$id@$(q.worker)")
        renamed(within(q, "incoming", id), folder) || continue   # another solver was faster
        open(joinpath(folder, "attempts"), "a") do io
            println(io, Dates.format(now(UTC), "yyyy-mm-ddTHH:MM:SSZ"), " ", q.worker)
        end
        touch(joinpath(folder, "heartbeat"))
        return folder
    end
    return nothing
end

attempts(folder) = isfile(joinpath(folder, "attempts")) ?
    countlines(joinpath(folder, "attempts")) : 0

request_of(folder) = String(split(basename(folder), '@')[1])

"""
Seconds since a claim showed life.

The folder's change time counts too: it is that of the rename, when the heartbeat is still the one of
an earlier attempt.
"""
function age(folder)
    heartbeat = joinpath(folder, "heartbeat")
    return time() - max(ispath(heartbeat) ? mtime(heartbeat) : 0.0, ctime(folder))
end

"""Give back claims without life for `stale` seconds; after the last attempt they have failed."""
function reclaim!(q::Queue; stale=STALE_SECONDS)
    for name in readdir(within(q, "working"))
        folder = within(q, "working", name)
        endswith(name, "@" * q.worker) && continue
        ispath(folder) && age(folder) > stale || continue
        count = attempts(folder)
        if count >= MOST_ATTEMPTS
            fail!(q, folder, "$count solvers ended while they solved it", "")
        else
            give_back!(q, folder)
        end
    end
end

function give_back!(q::Queue, folder)
    renamed(folder, within(q, "incoming", request_of(folder))) && return
    # The same request was asked again meanwhile: that one is solved.
    ispath(folder) && rm(folder; recursive=true, force=true)
    return
end

"""Move a claim to `failed` with its reason and log."""
function fail!(q::Queue, folder, reason, log)
    isdir(folder) || return
    facts = Pair["reason" => reason, "attempts" => attempts(folder)]
    write_synced(joinpath(folder, "failure.json"), json_text(facts) * "\n")
    open(io -> print(io, log), joinpath(folder, "solver.log"), "a")
    finish!(q, folder, "failed")
end

"""Move a claim to its end; where that end is already there, the claim goes."""
function finish!(q::Queue, folder, place)
    target = within(q, place, request_of(folder))
    place == "failed" && rm(target; recursive=true, force=true)
    renamed(folder, target) || rm(folder; recursive=true, force=true)
    return target
end

"""Solve a claimed request. Nothing that goes wrong with it ends the service."""
function work!(q::Queue, folder)
    log = IOBuffer()
    say(text) = (println(log, Dates.format(now(UTC), "yyyy-mm-ddTHH:MM:SSZ"), " ", text);
                 @info "$(request_of(folder)): $text")
    try
        r = read_request(folder)
        say("$(r.options.kind) of $(r.case_name), $(intervals(r)) intervals, $(length(r.outages)) outages")
        a = solve(r)
        isempty(a.notes) || say(join(a.notes, "; "))
        say("$(a.status) after $(round(a.seconds; digits=2)) s")
        # A claim that was given back while this solver was asleep is another's now.
        isdir(folder) || return say("the claim is gone, nothing is written")
        rm(joinpath(folder, "results"); recursive=true, force=true)
        write_results(joinpath(folder, "results"), r, a)
        finish!(q, folder, "done")
    catch problem
        problem isa InterruptException && rethrow()
        isdir(folder) || return say("the claim is gone, nothing is written")
        reason = problem isa BadInput ? sprint(showerror, problem) :
            first(split(sprint(showerror, problem), '\n'))
        say("failed: $reason")
        problem isa BadInput || showerror(log, problem, catch_backtrace())
        fail!(q, folder, reason, String(take!(log)))
    end
    return
end
