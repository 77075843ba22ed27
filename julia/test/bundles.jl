# Requests written as bundles from literal data, so that the reader is part of every test.

const NO_STORES = "UID,Bus ID,Charge Max MW,Discharge Max MW,Discharge Min MW,Energy Max MWh," *
    "Energy Initial MWh,Energy End MWh,Charge Efficiency,Discharge Efficiency,In Service\n"
const NO_DC_LINES = "UID,From Bus,To Bus,MW Min,MW Max,Loss Fixed MW,Loss Share,In Service\n"
const UNIT_HEADER = "GEN UID,Bus ID,PMax MW,PMin MW,Ramp Rate MW/Min,In Service,Thermal,Must Take," *
    "Before MW,Cost C2,Cost C1,Cost C0,Cost MW 0,Cost USD/h 0,Cost MW 1,Cost USD/h 1,Cost MW 2," *
    "Cost USD/h 2\n"
const BRANCH_HEADER =
    "UID,From Bus,To Bus,X,Cont Rating,LTE Rating,Tr Ratio,Shift,In Service\n"

"""Buses 1 to n, the first the reference."""
buses_text(n) = "Bus ID,Bus UID,Bus Type,MW Shunt G\n" *
    join(["$k,b$k,$(k == 1 ? "Ref" : "PQ"),0.0\n" for k in 1:n])

loads_text(buses) = "UID,Bus ID,In Service\n" * join(["load-$k,$k,1\n" for k in buses])

series_text(names, rows) = "Interval,$(join(names, ','))\n" *
    join(["$t,$(join(row, ','))\n" for (t, row) in enumerate(rows)])

function options_text(T; kind="lascopf", method="app", commitment="on", minutes=60, reported=T,
                      iterations=2000, limit=3600)
    return json_text(Dict("kind" => kind, "method" => method, "base_mva" => 100.0,
        "start" => "2020-01-01T00:00:00+00:00", "minutes" => minutes, "intervals" => T,
        "reported" => reported, "commitment" => commitment, "tolerance" => 1e-6,
        "time_limit_seconds" => limit, "reserve_minutes" => 10.0,
        "penalties" => Dict("load_shed" => 10000.0, "over_generation" => 10000.0,
            "branch_overload" => 5000.0, "outage_overload" => 1000.0, "reserve_shortfall" => 1000.0),
        "decomposition" => Dict("alpha" => 100.0, "beta" => 200.0, "gamma" => 100.0,
            "tolerance" => 1e-4, "max_iterations" => iterations)))
end

"""Write files and their manifest; the folder."""
function write_bundle(folder, files; id="0123456789abcdef")
    listed = Dict{String,Any}()
    for (name, text) in files
        mkpath(dirname(joinpath(folder, name)))
        write(joinpath(folder, name), text)
        listed[name] = Dict("sha256" => bytes2hex(sha256(text)), "bytes" => sizeof(text))
    end
    write(joinpath(folder, "manifest.json"), json_text(Dict("format" => "lascopf-exchange",
        "version" => 1, "request_id" => id, "case_name" => "test", "kind" => "lascopf",
        "files" => listed, "notes" => [])))
    return folder
end

"""The published 5-bus case: two units with quadratic costs and a realised dispatch, seven lines of
100 MW, each of them an outage; `share` is the rating after an outage beside the continuous one."""
function five_buses(; share=1.3, method="app", limit=3600)
    ends = ((1, 2, 0.06), (1, 3, 0.24), (2, 3, 0.18), (2, 4, 0.18), (2, 5, 0.12), (3, 4, 0.03),
            (4, 5, 0.24))
    loads = ((20, 45, 40, 60), (30, 40, 40, 65), (20, 43, 45, 65))
    return Dict{String,String}(
        "bus.csv" => buses_text(5),
        "branch.csv" => BRANCH_HEADER * join(["branch-$k,$i,$j,$x,100.0,$(100 * share),1.0,0.0,1\n"
                                              for (k, (i, j, x)) in enumerate(ends)]),
        "gen.csv" => UNIT_HEADER *
            "gen-1,1,332.4,0.0,0.3333333333333333,1,1,0,140.765,0.0430293,20.0,0.0,NA,NA,NA,NA,NA,NA\n" *
            "gen-2,2,140.0,0.0,0.25,1,1,0,24.2275,0.25,20.0,0.0,NA,NA,NA,NA,NA,NA\n",
        "dc_branch.csv" => NO_DC_LINES, "storage.csv" => NO_STORES, "load.csv" => loads_text(2:5),
        "contingencies.csv" => "UID,Branches,Generators\n" * join(["o$k,branch-$k,\n" for k in 1:7]),
        "series/load.csv" => series_text(["load-$k" for k in 2:5], loads),
        "series/available.csv" => series_text(("gen-1", "gen-2"), fill((332.4, 140.0), 3)),
        "series/inflow.csv" => "Interval\n1\n2\n3\n",
        "series/reserve.csv" => series_text(("Up MW", "Down MW"), fill((0.0, 0.0), 3)),
        "options.json" => options_text(3; method=method, limit=limit))
end

"""Two buses and a line of 200 MW: a unit with a curve (10 USD/MWh to 50 MW, then 30) and one at
50 USD/MWh, wind, a store, and what `changes` replaces."""
function two_buses(demand, wind; changes=Dict{String,String}(), options...)
    T = length(demand)
    files = Dict{String,String}(
        "bus.csv" => buses_text(2), "branch.csv" => BRANCH_HEADER * "line,1,2,0.1,200.0,NA,1.0,0.0,1\n",
        "gen.csv" => UNIT_HEADER *
            "cheap,1,100.0,0.0,NA,1,1,0,NA,NA,NA,NA,0.0,0.0,50.0,500.0,100.0,2000.0\n" *
            "dear,2,300.0,0.0,NA,1,1,0,NA,0.0,50.0,0.0,NA,NA,NA,NA,NA,NA\n" *
            "wind,1,100.0,0.0,NA,1,0,0,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA\n",
        "dc_branch.csv" => NO_DC_LINES,
        "storage.csv" => NO_STORES * "tank,2,20.0,20.0,0.0,40.0,0.0,0.0,0.8,1.0,1\n",
        "load.csv" => loads_text(2:2), "contingencies.csv" => "UID,Branches,Generators\n",
        "series/load.csv" => series_text(("load-2",), [(d,) for d in demand]),
        "series/available.csv" => series_text(("cheap", "dear", "wind"), [(100, 300, w) for w in wind]),
        "series/inflow.csv" => series_text(("tank",), fill((0.0,), T)),
        "series/reserve.csv" => series_text(("Up MW", "Down MW"), fill((0.0, 0.0), T)),
        "options.json" => options_text(T; options...))
    return merge(files, changes)
end

"""Solve files as a bundle; the request and its answer."""
function solved(files)
    return mktempdir() do folder
        r = read_request(write_bundle(folder, files))
        r, solve(r)
    end
end
