# A solution as what it means: dispatch, flows, prices and costs of every interval.

"""The answer; matrices are (T, elements), powers in MW, costs in USD, prices in USD/MWh."""
struct Answer
    status::String
    power::Matrix{Float64}
    up::Matrix{Float64}
    down::Matrix{Float64}
    charge::Matrix{Float64}
    discharge::Matrix{Float64}
    energy::Matrix{Float64}
    theta::Matrix{Float64}
    shed::Matrix{Float64}
    over::Matrix{Float64}
    price::Matrix{Float64}
    flow::Matrix{Float64}
    overload::Matrix{Float64}
    shadow::Matrix{Float64}
    dc::Matrix{Float64}
    short::Matrix{Float64}          # (T, 2), up and down
    reserve_price::Vector{Float64}
    cost::Vector{Float64}           # of each interval, with starts and penalties
    outages::Vector{NamedTuple}
    bound::Union{Nothing,Float64}
    found::Union{Nothing,Found}
    left_out::Vector{String}
    notes::Vector{String}
    seconds::Float64
end

objective(a::Answer, r::Request) = sum(a.cost[1:r.options.reported])

# Relative gap up to which an answer is called optimal: what the tolerance of the agents is worth.
const OPTIMAL = 1e-4
# Of the objective, that small excesses and slacks would add: 3e-8 on a grid of 2,000 buses.
const UNCOUNTED = 1e-6
# What a slack or a dual must exceed to be told apart from the rounding of a solution.
const NOISE = 1e-6
# MW that a store may charge and give at once, as in the Python solvers.
const BOTH_WAYS = 1e-4

function Answer(r::Request, net::Network, s::Security, f::Found, clock)
    T, x, h = intervals(r), f.solution.x, hours(r)
    block(name) = [at(x, getfield(f.slots[t], name)[k])
                   for t in 1:T, k in eachindex(getfield(f.slots[1], name))]
    clean(v) = ifelse.(v .> NOISE, v, 0.0)
    power = block(:power)
    charge, discharge, energy = one_way!(r, block(:charge), block(:discharge), block(:energy))
    for k in findall(.!r.stores.in_service)
        energy[:, k] .= r.stores.energy_initial[k]
    end
    shed, over, short = clean(block(:shed)), clean(block(:over)), clean(block(:short))
    theta = block(:theta) ./ r.options.base_mva
    flow = permutedims(reduce(hcat, [flows(r.branches, theta[t, :]) for t in 1:T]))
    overload = clean(max.(abs.(flow) .- ifelse.(r.branches.in_service, r.branches.rate_a, Inf)', 0.0))
    y = f.solution.y
    price = [y[f.slots[t].balance[k]] / h for t in 1:T, k in eachindex(r.bus_id)]
    reserve = [f.slots[t].reserve[1] == 0 ? 0.0 : max(y[f.slots[t].reserve[1]] / h, 0.0) for t in 1:T]
    shadow = zeros(size(flow))
    for t in 1:T, l in f.slots[t].limits
        l.outage == 0 && (shadow[t, l.branch] += abs(y[l.row]) / h)
    end
    cost = interval_costs(r, power, shed, over, overload, short, f.excess)
    total = sum(cost)
    lower = f.bound + sum(r.start_cost) + sum(r.store_start_cost) + cost_constants(r)
    # They meet to what is not counted (excesses below COUNTS, slacks below NOISE); a bound above that
    # would be an error, and is shown.
    lower <= total + UNCOUNTED * abs(total) && (lower = min(lower, total))
    close = total - lower <= OPTIMAL * max(abs(total), 1.0)
    status = f.converged && close ? "optimal" : "feasible"
    return Answer(status, power, block(:up), block(:down), charge, discharge, energy,
                  theta, shed, over, price, flow, overload, clean(shadow), block(:dc), short,
                  reserve, cost, outage_rows(r, s, f), isfinite(lower) ? lower : nothing,
                  f, s.left_out, f.notes, seconds(clock))
end

"""
Take out what a store charges and gives at once.

The program may do both where that costs nothing; the net output is the same without, and what the
detour would have lost stays in the store, as far as it has room. What is left then is a gain of the
program by burning energy, for which `solve` fixes directions.
"""
function one_way!(r::Request, charge, discharge, energy)
    s, h, T = r.stores, hours(r), intervals(r)
    for k in findall(s.in_service), t in 1:T
        both = min(charge[t, k], discharge[t, k])
        both > 0.0 || continue
        kept = h * (1.0 / s.discharge_efficiency[k] - s.charge_efficiency[k])
        room = s.energy_max[k] - maximum(energy[t:T, k])
        kept > 0.0 && (both = min(both, max(room, 0.0) / kept))
        charge[t, k] -= both
        discharge[t, k] -= both
        energy[t:T, k] .+= kept * both
    end
    return charge, discharge, energy
end

"""Costs of every interval by the units' own curves, with starts and penalties, USD."""
function interval_costs(r::Request, power, shed, over, overload, short, excess)
    h, usd, T = hours(r), r.options.penalties, intervals(r)
    cost = zeros(T)
    for t in 1:T
        for k in eachindex(r.generators.id)
            running(r, t, k) && (cost[t] += h * usd_per_hour(r.generators.cost[k], power[t, k]))
        end
        cost[t] += sum(r.start_cost[t, :]) + sum(r.store_start_cost[t, :])
        cost[t] += h * (usd.load_shed * sum(shed[t, :]) + usd.over_generation * sum(over[t, :]) +
                        usd.branch_overload * sum(overload[t, :]) +
                        usd.reserve_shortfall * sum(short[t, :]))
    end
    for e in excess
        e.outage > 0 && (cost[e.interval] += h * usd.outage_overload * e.mw)
    end
    return cost
end

"""What the programs leave out of the costs: their constants, USD."""
function cost_constants(r::Request)
    total = 0.0
    for t in 1:intervals(r), k in eachindex(r.generators.id)
        running(r, t, k) || continue
        cost, low = r.generators.cost[k], r.generators.p_min[k]
        if isempty(cost.mw)
            total += cost.c0
        else
            _, slope = pieces(cost, low, ceiling(r, t, k))
            # One piece is a straight line through 0 in the program, several begin at the minimum.
            total += usd_per_hour(cost, low) - (length(slope) == 1 ? slope[1] * low : 0.0)
        end
    end
    return hours(r) * total
end

"""Limits after outages that bind or are broken."""
function outage_rows(r::Request, s::Security, f::Found)
    excess = Dict((e.interval, e.branch, e.outage, e.flow > 0.0) => e for e in f.excess)
    rows = Dict{NTuple{3,Int},NamedTuple}()
    for (t, slot) in enumerate(f.slots), l in slot.limits
        l.outage > 0 || continue
        price = abs(f.solution.y[l.row]) / hours(r)
        e = get(excess, (t, l.branch, l.outage, l.upper), nothing)
        (price > NOISE || e !== nothing) || continue
        over = e === nothing ? 0.0 : e.mw
        flow = (l.upper ? 1.0 : -1.0) * (r.branches.rate_b[l.branch] + over)
        rows[(t, l.outage, l.branch)] = (interval=t, outage=s.outages[l.outage].id,
            branch=r.branches.id[l.branch], mw=flow, excess=over, shadow=price > NOISE ? price : 0.0)
    end
    # After an end by the clock some excesses have no row of the program.
    for e in f.excess
        e.outage > 0 || continue
        get!(rows, (e.interval, e.outage, e.branch), (interval=e.interval,
            outage=s.outages[e.outage].id, branch=r.branches.id[e.branch], mw=e.flow, excess=e.mw,
            shadow=0.0))
    end
    return [rows[key] for key in sort!(collect(keys(rows)))]
end

"""Solve a request by its method. A contradiction is a status, not an error."""
function solve(r::Request)
    clock = time_ns()
    # One thread in the library's dense products: sums in one order, and no waiting.
    BLAS.set_num_threads(1)
    net = Network(r)
    s = Security(r, net)
    try
        a = dispatch(r, net, s, clock)
        free = a.found !== nothing && r.discharging === nothing
        free && any(min.(a.charge, a.discharge) .> BOTH_WAYS) || return a
        gives = a.discharge .- a.charge .> NOISE
        a = dispatch(directed(r, gives), net, s, clock)
        push!(a.notes, "stores hold the directions of their net power: they gained by doing both")
        return a
    catch problem
        problem isa Infeasible || rethrow()
        return nothing_found("infeasible", s, clock, problem.reason)
    end
end

"""The answer of the request's method."""
function dispatch(r::Request, net::Network, s::Security, clock)
    method = r.options.method == "app" && intervals(r) > 1 ? solve_app : solve_joint
    f = method(r, net, s, clock)
    f.solution.solved && return Answer(r, net, s, f, clock)
    return nothing_found("not_converged", s, clock,
        "the interior-point method ended with $(f.solution.primal) MW off balance")
end

function nothing_found(status, s::Security, clock, note)
    none = zeros(0, 0)
    return Answer(status, (none for _ in 1:15)..., Float64[], Float64[], NamedTuple[], nothing,
                  nothing, s.left_out, [note], seconds(clock))
end
