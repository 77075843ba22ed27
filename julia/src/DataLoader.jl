"""
Data of an exchange folder by the names that PowerLASCOPF's tools expect.

`source` is a queue (docs/EXCHANGE.md) or the folder of one request.
"""
module DataLoader

using Dates
using ..LascopfSolver: BadInput, Request, Answer, read_request, read_table, texts, numbers, parse_json,
                       json_text, write_synced, intervals, hours, objective

export load_network_data, load_measurements, load_from_parquet, save_results, results_of

"""Folder of a request within a source."""
function folder_of(topology_id, source)
    isfile(joinpath(source, "manifest.json")) && return source
    for place in ("incoming", "done", "failed")
        folder = joinpath(source, place, string(topology_id))
        isdir(folder) && return folder
    end
    throw(BadInput("topology_id", topology_id, "name a request of the exchange folder $source"))
end

"""Grid of a request: its columns by table, checked as the solver checks them."""
function load_network_data(topology_id, source::AbstractString)
    r = read_request(folder_of(topology_id, source))
    return (topology_id=string(topology_id), case_name=r.case_name, base_mva=r.options.base_mva,
            buses=r.bus_id, branches=r.branches, generators=r.generators, stores=r.stores,
            dc_lines=r.dc_lines, contingencies=r.outages, request=r)
end

"""
What each interval that starts within [start_time, end_time) is given: a vector of named tuples with
its `time` (UTC), `load` and `available` (MW by element) and `reserve_up`, `reserve_down` (MW).

`source` is the folder of one request.
"""
function load_measurements(start_time::DateTime, end_time::DateTime, source::AbstractString)
    start_time < end_time || throw(BadInput("end_time", end_time, "give a time after $start_time"))
    options = parse_json(read(joinpath(source, "options.json"), String), "options.json")
    first = DateTime(replace(options["start"], r"(Z|\+00:00)$" => ""))
    step = Millisecond(round(Int, 60_000 * options["minutes"]))
    series(name) = read_table(joinpath(source, "series", name))
    load, available, reserve = series("load.csv"), series("available.csv"), series("reserve.csv")
    columns(t) = Dict(c => numbers(t, c) for c in keys(t.columns) if c != "Interval")
    loads, units = columns(load), columns(available)
    up, down = numbers(reserve, "Up MW"), numbers(reserve, "Down MW")
    return [(time=first + (t - 1) * step, load=Dict(k => v[t] for (k, v) in loads),
             available=Dict(k => v[t] for (k, v) in units), reserve_up=up[t], reserve_down=down[t])
            for t in 1:length(load) if start_time <= first + (t - 1) * step < end_time]
end

"""
A parquet file as a table. The standard library has no reader: with Parquet2 loaded, add the method

    DataLoader.read_parquet(path::String) = Parquet2.Dataset(path)
"""
function load_from_parquet(path::AbstractString)
    isfile(path) || throw(BadInput("path", path, "name a parquet file"))
    hasmethod(read_parquet, Tuple{String}) || throw(BadInput("load_from_parquet", path,
        "this needs the optional package Parquet2: `using Pkg; Pkg.add(\"Parquet2\"); using Parquet2`, " *
        "then `LascopfSolver.DataLoader.read_parquet(path::String) = Parquet2.Dataset(path)`"))
    return read_parquet(String(path))
end

"""Extension point of `load_from_parquet`; without methods until a reader is given."""
function read_parquet end

"""Results of an answer: `dispatch[unit] = (P, Q)`, MW and Mvar of each reported interval. The DC model
has no reactive power: Q is NaN."""
function results_of(r::Request, a::Answer)
    solved = !isempty(a.cost)
    shown = 1:r.options.reported
    dispatch = Dict(id => (P=a.power[shown, k], Q=fill(NaN, length(shown)))
                    for (k, id) in enumerate(r.generators.id) if solved)
    return (status=a.status, objective=solved ? objective(a, r) : NaN, solve_time=a.seconds,
            dispatch=dispatch)
end

"""Write results as `source/results/EXECUTION_ID.json`, whole or not at all; the path."""
function save_results(execution_id, results, source::AbstractString)
    id = string(execution_id)
    occursin(r"^[A-Za-z0-9._-]+$", id) && !startswith(id, ".") ||
        throw(BadInput("execution_id", id, "use letters, digits, dots and hyphens"))
    folder = mkpath(joinpath(source, "results"))
    dispatch = Dict{String,Any}(g => Pair["P" => collect(v.P), "Q" => collect(v.Q)]
                                for (g, v) in results.dispatch)
    path = joinpath(folder, id * ".json")
    write_synced(path * ".partial", json_text(Pair["execution_id" => id, "status" => results.status,
        "objective" => results.objective, "solve_time" => results.solve_time,
        "dispatch" => dispatch]) * "\n")
    mv(path * ".partial", path; force=true)
    return path
end

end
