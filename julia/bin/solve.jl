# julia --project=/app bin/solve.jl REQUEST RESULTS : one request without a queue.
using LascopfSolver

length(ARGS) == 2 || (println(stderr, "give two folders: solve.jl REQUEST RESULTS"); exit(2))
try
    request = LascopfSolver.read_request(ARGS[1])
    answer = LascopfSolver.solve(request)
    LascopfSolver.write_results(ARGS[2], request, answer)
    println(answer.status, isempty(answer.cost) ? "" : " $(LascopfSolver.objective(answer, request))")
    exit(isempty(answer.cost) ? 5 : 0)
catch problem
    problem isa LascopfSolver.BadInput || rethrow()
    println(stderr, sprint(showerror, problem))
    exit(2)
end
