# A small request solved while the package is compiled, so that its machine code is stored with it.

"""Three buses in a ring, two units, one store, two intervals, the outage of a line."""
function small_request(method)
    T, lines = 2, [(1, 2), (1, 3), (2, 3)]
    options = Options("lascopf", method, "on", 100.0, 60.0, T, T, 1e-6, 60.0, 10.0,
                      Penalties(1e4, 1e4, 5e3, 1e3, 1e3), Steps(100.0, 200.0, 100.0, 1e-4, 50))
    branches = Branches(["l1", "l2", "l3"], first.(lines), last.(lines), fill(1000.0, 3), zeros(3),
                        fill(60.0, 3), fill(80.0, 3), trues(3))
    units = Generators(["g1", "g2"], [1, 2], [0.0, 0.0], [100.0, 100.0], [0.2, 1.0], [20.0, NaN],
                       trues(2), falses(2), trues(2),
                       [Cost([0.0, 50.0, 100.0], [0.0, 500.0, 1500.0], 0.0, 0.0, 0.0),
                        Cost(Float64[], Float64[], 0.1, 30.0, 5.0)])
    stores = Stores(["s"], [3], [10.0], [10.0], [0.0], [20.0], [5.0], [5.0], [0.9], [0.9], trues(1))
    none = DcLines(String[], Int[], Int[], Float64[], Float64[], Float64[], Float64[], falses(0))
    return Request("warm", "", "warm", options, ["1", "2", "3"], BitVector([true, false, false]),
                   branches, units, stores, none,
                   [Outage("o1", [1], Int[]), Outage("o2", Int[], [2])],
                   [0.0 0.0 60.0; 0.0 0.0 90.0], fill(100.0, T, 2), zeros(T, 1), fill(5.0, T),
                   zeros(T), trues(T, 2), zeros(T, 2), nothing, zeros(T, 1))
end

"""Solve it by both methods and write its tables; the objectives, USD."""
function warm_up()
    return map(("joint", "app")) do method
        r = small_request(method)
        a = solve(r)
        tables_of(r, a)
        json_text(facts(r, a, Pair[]))
        objective(a, r)
    end
end

# Before 1.9 only the types are stored and it would gain little.
if VERSION >= v"1.9" && ccall(:jl_generating_output, Cint, ()) == 1
    try
        warm_up()
    catch problem
        @warn "the package is compiled without its machine code" problem
    end
end
