# The service: claims, solves, and shows that it is alive.
#
# Requests are solved in this process. One process for each would compile the solver anew each time,
# which takes longer than a day of a grid; and a process that is killed for its memory is what the
# attempts of the queue are for: the container starts again, the request is tried three times, then
# it has failed.

const SLEEP_SECONDS = 0.5
# A claim older than its time limit by this is no longer kept alive: its solver hangs.
const PATIENCE_SECONDS = 600

"""Serve until `stop()`, a function of nothing, is true, or `once` and nothing waits."""
function serve(root::AbstractString; once=false)
    q = Queue(root)
    stop = within(q, "solvers", "$(q.worker).stop")
    beat = start_heart(q)
    held = Ref{Union{Nothing,String}}(nothing)
    atexit(() -> leave!(q, held[]))
    @info "solver $(q.worker) serves $(q.root) with $(Threads.nthreads()) threads"
    try
        while !ispath(stop)
            folder = next_claim!(q)
            if folder === nothing
                once && break
                sleep(SLEEP_SECONDS)
                continue
            end
            held[] = folder
            show_state(q, "solving", folder)
            work!(q, folder)
            held[] = nothing
            show_state(q, "idle")
        end
    finally
        kill(beat)
        leave!(q, held[])
        rm(stop; force=true)
    end
end

"""The next request, after claims of the dead were given back. What other solvers and clients do to
the folders meanwhile, or a full disk, must not end the service."""
function next_claim!(q::Queue)
    try
        reclaim!(q)
        return claim!(q)
    catch problem
        problem isa Union{SystemError,Base.IOError} || rethrow()
        @warn "the queue could not be read" problem
        return nothing
    end
end

"""Give back what is held and take this solver's files away; also when the process is ended."""
function leave!(q::Queue, folder)
    folder !== nothing && isdir(folder) && give_back!(q, folder)
    for name in ("$(q.worker).json", ".$(q.worker)")
        rm(within(q, "solvers", name); force=true)
    end
end

"""What the heart reads: state, request, claim, and the second until which the claim is kept."""
function show_state(q::Queue, state, folder="")
    until = 0
    if !isempty(folder)
        until = round(Int, time() + limit_of(folder) + PATIENCE_SECONDS)
    end
    request = isempty(folder) ? "-" : request_of(folder)
    path = within(q, "solvers", ".$(q.worker)")
    write(path * ".new", "$state $request $until $(isempty(folder) ? "-" : folder)\n")
    renamed(path * ".new", path)
end

"""Time limit of a request, seconds; 0 where it cannot be read, which `work!` will say."""
function limit_of(folder)
    try
        return Float64(parse_json(read(joinpath(folder, "options.json"), String))["time_limit_seconds"])
    catch
        return 0.0
    end
end

"""
Start the heart: a process of its own, since a thread that computes lets no timer run.

It ends with this process.
"""
function start_heart(q::Queue)
    show_state(q, "idle")
    script = joinpath(dirname(@__DIR__), "bin", "heart.sh")
    return run(`sh $script $(getpid()) $(q.root) $(q.worker) $SOLVER_VERSION`; wait=false)
end
