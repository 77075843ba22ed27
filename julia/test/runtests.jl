using Dates
using LascopfSolver
using LinearAlgebra
using SHA
using SparseArrays
using Test

using LascopfSolver: Answer, BadInput, DataLoader, Interior, Network, Program, Queue, Security, age,
    attempts, claim!, column!, csv_text, json_text, objective, parse_json, read_request, reclaim!,
    row!, solve, solve!, split_records, unit_factors, work!

include("bundles.jl")
@testset "LascopfSolver" begin
    include("test_reader.jl")
    include("test_core.jl")
    include("test_dispatch.jl")
    include("test_queue.jl")
    include("test_threads.jl")
end
