"""
Look-ahead security-constrained optimal power flow, by agents of one interval each or at once.

An implementation of its own of the model in docs/MODEL.md, with standard libraries only. Requests
and results travel as the folders of docs/EXCHANGE.md.
"""
module LascopfSolver

using Dates
using LinearAlgebra
using SHA
using SparseArrays

include("json.jl")
include("tables.jl")
include("request.jl")
include("bundle.jl")
include("ldl.jl")
include("quadratic.jl")
include("interior_point.jl")
include("network.jl")
include("interval.jl")
include("screening.jl")
include("joint.jl")
include("agents.jl")
include("app.jl")
include("answer.jl")
include("results.jl")
include("queue.jl")
include("service.jl")
include("DataLoader.jl")
include("warm_up.jl")

end
