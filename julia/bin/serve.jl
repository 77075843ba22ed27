# julia --project=/app -t N bin/serve.jl QUEUE [--once]
using LascopfSolver

if isempty(ARGS) || startswith(ARGS[1], "-")
    println(stderr, "give the folder of the queue: serve.jl QUEUE [--once]")
    exit(2)
end
LascopfSolver.serve(ARGS[1]; once="--once" in ARGS)
