# The reader of a request's folder, strict: what is wrong is named by file, row, field and value.

const FORMAT, VERSION_OF_FORMAT = "lascopf-exchange", 1

"""Read the request in `folder` and check its digests. Throws `BadInput`."""
function read_request(folder::AbstractString)
    manifest, digest = read_manifest(folder)
    options = read_options(joinpath(folder, "options.json"))
    bus = read_table(joinpath(folder, "bus.csv"))
    index = index_of(bus, "Bus ID")
    branches, branch_index = read_branches(folder, index, options.base_mva)
    units, unit_index = read_generators(folder, index, options)
    stores, store_index = read_stores(folder, index)
    T = options.intervals
    demand = read_demand(folder, bus, index, T)
    shape = (T, length(units.id))
    given = options.commitment == "given"
    series(name, ids; kind="series") = read_series(folder, joinpath(kind, name), ids, T)
    reserve = read_table(joinpath(folder, "series", "reserve.csv"))
    check_intervals(reserve, T)
    kind = "commitment"
    return Request(
        text_of(manifest, "request_id", "manifest.json"), digest,
        text_of(manifest, "case_name", "manifest.json"), options,
        texts(bus, "Bus ID"), BitVector(texts(bus, "Bus Type") .== "Ref"),
        branches, units, stores, read_dc_lines(folder, index),
        read_outages(folder, branch_index, unit_index), demand,
        series("available.csv", units.id), series("inflow.csv", stores.id),
        numbers(reserve, "Up MW"), numbers(reserve, "Down MW"),
        given ? read_states(folder, "on.csv", units.id, T) : repeat(units.in_service', T),
        given ? series("start_cost.csv", units.id; kind=kind) : zeros(shape),
        given ? read_states(folder, "discharging.csv", stores.id, T) : nothing,
        given ? series("store_start_cost.csv", stores.id; kind=kind) :
            zeros(T, length(stores.id)))
end

"""The manifest and its own digest, after every file it lists was checked."""
function read_manifest(folder::AbstractString)
    path = joinpath(folder, "manifest.json")
    isfile(path) || throw(BadInput(path, "no such file", "give the folder of a request"))
    text = read(path, String)
    manifest = parse_json(text, "manifest.json")
    manifest isa Dict || throw(BadInput("manifest.json", manifest, "write an object"))
    found = (get(manifest, "format", nothing), get(manifest, "version", nothing))
    found == (FORMAT, VERSION_OF_FORMAT) ||
        throw(BadInput("manifest.json, format and version", found,
                       "export the request as $FORMAT version $VERSION_OF_FORMAT"))
    files = get(manifest, "files", nothing)
    files isa Dict || throw(BadInput("manifest.json, files", files, "list the files"))
    for name in sort!(collect(keys(files)))
        check_file(folder, name, files[name])
    end
    return manifest, bytes2hex(sha256(text))
end

function check_file(folder, name, listed)
    where_ = "manifest.json, files, $name"
    inside = !isabspath(name) && !(".." in splitpath(name))
    inside || throw(BadInput(where_, name, "name files inside the folder"))
    path = joinpath(folder, name)
    isfile(path) || throw(BadInput(where_, "no such file", "export the request again"))
    listed isa Dict || throw(BadInput(where_, listed, "give sha256 and bytes"))
    bytes = read(path)
    found = (bytes2hex(sha256(bytes)), length(bytes))
    asked = (get(listed, "sha256", nothing), get(listed, "bytes", nothing))
    found == asked || throw(BadInput("$name, digest and bytes", found,
                                     "export the request again; its manifest says $asked"))
end

function text_of(object::Dict, key, name)
    value = get(object, key, nothing)
    value isa String && !isempty(value) || throw(BadInput("$name, $key", value, "give a text"))
    return value
end

function number_of(object::Dict, key, name; least=0.0, above=false)
    value = get(object, key, nothing)
    right = value isa Union{Int,Float64} && (above ? value > least : value >= least)
    right || throw(BadInput("$name, $key", value,
                            "give a number $(above ? "above" : "of at least") $least"))
    return Float64(value)
end

function whole_of(object::Dict, key, name; least=1)
    value = get(object, key, nothing)
    value isa Int && value >= least ||
        throw(BadInput("$name, $key", value, "give a whole number of at least $least"))
    return value
end

function choice_of(object::Dict, key, name, choices)
    value = get(object, key, nothing)
    value in choices || throw(BadInput("$name, $key", value, "give one of $(join(choices, ", "))"))
    return value
end

function part_of(object::Dict, key, name)
    value = get(object, key, nothing)
    value isa Dict || throw(BadInput("$name, $key", value, "give an object"))
    return value
end

function read_options(path)
    name = "options.json"
    isfile(path) || throw(BadInput(name, "no such file", "put the file into the request"))
    given = parse_json(read(path, String), name)
    given isa Dict || throw(BadInput(name, given, "write an object"))
    p, d = part_of(given, "penalties", name), part_of(given, "decomposition", name)
    usd(key) = number_of(p, key, "$name, penalties")
    step(key) = number_of(d, key, "$name, decomposition"; above=true)
    T = whole_of(given, "intervals", name)
    reported = whole_of(given, "reported", name)
    reported <= T || throw(BadInput("$name, reported", reported, "report at most $T intervals"))
    return Options(
        choice_of(given, "kind", name, ("lascopf", "scopf", "dcopf")),
        choice_of(given, "method", name, ("app", "joint")),
        choice_of(given, "commitment", name, ("given", "on")),
        number_of(given, "base_mva", name; above=true),
        number_of(given, "minutes", name; above=true), T, reported,
        number_of(given, "tolerance", name; above=true),
        number_of(given, "time_limit_seconds", name; above=true),
        number_of(given, "reserve_minutes", name),
        Penalties(usd("load_shed"), usd("over_generation"), usd("branch_overload"),
                  usd("outage_overload"), usd("reserve_shortfall")),
        Steps(step("alpha"), step("beta"), step("gamma"), step("tolerance"),
              whole_of(d, "max_iterations", "$name, decomposition")))
end

function read_branches(folder, index, base)
    t = read_table(joinpath(folder, "branch.csv"))
    rows = index_of(t, "UID")
    on, x, tap = flags(t, "In Service"), numbers(t, "X"), numbers(t, "Tr Ratio")
    for k in findall(on)
        x[k] != 0.0 || throw(BadInput(place(t, k, "X"), x[k], "give a reactance"))
        tap[k] != 0.0 || throw(BadInput(place(t, k, "Tr Ratio"), tap[k], "give 1 on a line"))
    end
    slope = [on[k] ? base / (x[k] * tap[k]) : 0.0 for k in eachindex(x)]
    a, b = numbers(t, "Cont Rating"; na=Inf), numbers(t, "LTE Rating"; na=Inf)
    for (rate, column) in ((a, "Cont Rating"), (b, "LTE Rating")), k in eachindex(rate)
        rate[k] >= 0.0 || throw(BadInput(place(t, k, column), rate[k], "give NA for no limit"))
    end
    return Branches(texts(t, "UID"), references(t, "From Bus", index, "bus.csv"),
                    references(t, "To Bus", index, "bus.csv"), slope,
                    -slope .* deg2rad.(numbers(t, "Shift")), a, b, on), rows
end

function read_generators(folder, index, options)
    t = read_table(joinpath(folder, "gen.csv"))
    rows = index_of(t, "GEN UID")
    low, high = numbers(t, "PMin MW"), numbers(t, "PMax MW")
    thermal, on = flags(t, "Thermal"), flags(t, "In Service")
    for k in findall(thermal .& on)
        low[k] <= high[k] ||
            throw(BadInput(place(t, k, "PMin MW"), low[k], "give at most PMax MW, $(high[k])"))
    end
    points = 0
    while has_column(t, "Cost MW $points")
        points += 1
    end
    mw = [numbers(t, "Cost MW $k"; na=NaN) for k in 0:points-1]
    usd = [numbers(t, "Cost USD/h $k"; na=NaN) for k in 0:points-1]
    poly = [numbers(t, "Cost C$k"; na=0.0) for k in 2:-1:0]
    cost = [read_cost(t, k, mw, usd, poly, thermal[k]) for k in 1:length(t)]
    ramp = numbers(t, "Ramp Rate MW/Min"; na=Inf)
    return Generators(texts(t, "GEN UID"), references(t, "Bus ID", index, "bus.csv"), low, high,
                      ramp, numbers(t, "Before MW"; na=NaN), thermal, flags(t, "Must Take"), on,
                      cost), rows
end

# Slopes of a printed curve differ by rounding where its pieces are one line.
const SLOPE_ROUNDING = 1e-6

function read_cost(t, k, mw, usd, poly, thermal)
    if isempty(mw) || isnan(mw[1][k])
        c2, c1, c0 = (p[k] for p in poly)
        !thermal || c2 >= 0.0 || throw(BadInput(place(t, k, "Cost C2"), c2, "give 0 or more"))
        return Cost(Float64[], Float64[], c2, c1, c0)
    end
    last = something(findfirst(p -> isnan(p[k]), mw), length(mw) + 1) - 1
    x, y = [mw[n][k] for n in 1:last], [usd[n][k] for n in 1:last]
    any(isnan, y) && throw(BadInput(place(t, k, "Cost USD/h"), "NA", "give a cost to each point"))
    thermal || return Cost(x, y, 0.0, 0.0, 0.0)
    last >= 2 || throw(BadInput(place(t, k, "Cost MW 1"), "NA", "give a curve two points"))
    all(diff(x) .> 0.0) || throw(BadInput(place(t, k, "Cost MW"), x, "give rising points"))
    slope = diff(y) ./ diff(x)
    all(diff(slope) .>= -SLOPE_ROUNDING .* (1.0 .+ abs.(slope[1:end-1]))) ||
        throw(BadInput(place(t, k, "Cost USD/h"), y, "give a convex curve"))
    return Cost(x, y, 0.0, 0.0, 0.0)
end

function read_stores(folder, index)
    t = read_table(joinpath(folder, "storage.csv"))
    rows = index_of(t, "UID")
    columns = ("Charge Max MW", "Discharge Max MW", "Discharge Min MW", "Energy Max MWh",
               "Energy Initial MWh", "Energy End MWh", "Charge Efficiency", "Discharge Efficiency")
    values = [numbers(t, column) for column in columns]
    for (v, column) in zip(values, columns), k in eachindex(v)
        v[k] >= 0.0 || throw(BadInput(place(t, k, column), v[k], "give 0 or more"))
    end
    for k in eachindex(values[8])
        values[8][k] > 0.0 ||
            throw(BadInput(place(t, k, columns[8]), values[8][k], "give a number above 0"))
    end
    return Stores(texts(t, "UID"), references(t, "Bus ID", index, "bus.csv"), values...,
                  flags(t, "In Service")), rows
end

function read_dc_lines(folder, index)
    t = read_table(joinpath(folder, "dc_branch.csv"))
    index_of(t, "UID")
    low, high = numbers(t, "MW Min"), numbers(t, "MW Max")
    for k in eachindex(low)
        low[k] <= high[k] || throw(BadInput(place(t, k, "MW Min"), low[k], "give at most MW Max"))
    end
    return DcLines(texts(t, "UID"), references(t, "From Bus", index, "bus.csv"),
                   references(t, "To Bus", index, "bus.csv"), low, high,
                   numbers(t, "Loss Fixed MW"), numbers(t, "Loss Share"), flags(t, "In Service"))
end

function read_outages(folder, branch_index, unit_index)
    t = read_table(joinpath(folder, "contingencies.csv"))
    index_of(t, "UID")
    function members(k, column, index)
        names = [strip(n) for n in split(cell(t, k, column), ';') if !isempty(strip(n)) && n != "NA"]
        for n in names
            haskey(index, n) ||
                throw(BadInput(place(t, k, column), n, "name elements of the grid"))
        end
        return unique([index[n] for n in names])
    end
    return [Outage(cell(t, k, "UID"), members(k, "Branches", branch_index),
                   members(k, "Generators", unit_index)) for k in 1:length(t)]
end

function check_intervals(t::Table, T)
    length(t) == T || throw(BadInput("$(t.name), rows", length(t), "give $T intervals"))
    for k in 1:T
        cell(t, k, "Interval") == string(k) ||
            throw(BadInput(place(t, k, "Interval"), cell(t, k, "Interval"), "give $k"))
    end
end

"""Series of elements, shape (T, length(ids))."""
function read_series(folder, name, ids, T)
    t = read_table(joinpath(folder, name))
    check_intervals(t, T)
    found = Matrix{Float64}(undef, T, length(ids))
    for (k, id) in enumerate(ids)
        found[:, k] = numbers(t, id)
    end
    return found
end

function read_states(folder, name, ids, T)
    t = read_table(joinpath(folder, "commitment", name))
    check_intervals(t, T)
    found = falses(T, length(ids))
    for (k, id) in enumerate(ids)
        found[:, k] = flags(t, id)
    end
    return found
end

"""Demand at every bus, shape (T, buses), MW: loads in service, and shunts at nominal voltage."""
function read_demand(folder, bus, index, T)
    t = read_table(joinpath(folder, "load.csv"))
    index_of(t, "UID")
    at, on = references(t, "Bus ID", index, "bus.csv"), flags(t, "In Service")
    given = read_series(folder, joinpath("series", "load.csv"), texts(t, "UID"), T)
    demand = repeat(numbers(bus, "MW Shunt G")', T)
    for k in findall(on)
        demand[:, at[k]] .+= given[:, k]
    end
    return demand
end
