# The columns and rows of one interval: units, stores, DC lines, reserves, angles and balances.

"""A flow's limit in the program: outage 0 is the intact network."""
struct Limit
    branch::Int
    outage::Int
    upper::Bool
    row::Int
    excess::Int
end

"""Columns and rows of one interval; 0 where an element has none."""
struct Slot
    interval::Int
    power::Vector{Int}
    up::Vector{Int}
    down::Vector{Int}
    charge::Vector{Int}
    discharge::Vector{Int}
    energy::Vector{Int}
    dc::Vector{Int}
    theta::Vector{Int}          # angle in radians times base_mva, which keeps entries near 1
    shed::Vector{Int}
    over::Vector{Int}
    short::NTuple{2,Int}        # up, down
    reserve::NTuple{2,Int}      # their rows
    balance::Vector{Int}
    change::Vector{Int}         # rows of stored energy, which lack the energy before
    limits::Vector{Limit}
end

at(x::Vector{Float64}, column::Int) = column == 0 ? 0.0 : x[column]

running(r::Request, t, g) = r.generators.thermal[g] && r.generators.in_service[g] && r.on[t, g]

"""Greatest output: a unit starts at its minimum and stops from it."""
function ceiling(r::Request, t, g)
    begins = t > 1 && !r.on[t-1, g]
    ends = t < intervals(r) && !r.on[t+1, g]
    return begins || ends ? r.generators.p_min[g] : r.generators.p_max[g]
end

"""Add an interval to the program; what joins it to the one before is left to `join!`."""
function add_interval!(p::Program, r::Request, net::Network, t::Int)
    n, h, b = length(r.bus_id), hours(r), r.branches
    balance = [row!(p, r.demand[t, k], r.demand[t, k]) for k in 1:n]
    power, up, down = add_units!(p, r, t, balance)
    charge, discharge, energy, change = add_stores!(p, r, t, balance)
    dc = add_dc_lines!(p, r, balance)
    theta = zeros(Int, n)
    for k in net.kept
        theta[k] = column!(p, -Inf, Inf)
    end
    for k in findall(b.in_service)
        flow_terms!(p, balance[b.from[k]], r, theta, k, -1.0)
        flow_terms!(p, balance[b.to[k]], r, theta, k, 1.0)
        for (bus, sign) in ((b.from[k], 1.0), (b.to[k], -1.0))
            p.least[balance[bus]] = p.most[balance[bus]] += sign * b.shift_mw[k]
        end
    end
    shed, over, usd = zeros(Int, n), zeros(Int, n), r.options.penalties
    for k in 1:n
        if r.demand[t, k] > 0.0
            shed[k] = column!(p, 0.0, r.demand[t, k]; cost=h * usd.load_shed)
            entry!(p, balance[k], shed[k], 1.0)
        end
        over[k] = column!(p, 0.0, Inf; cost=h * usd.over_generation)
        entry!(p, balance[k], over[k], -1.0)
    end
    asked = ((up, r.reserve_up[t]), (down, r.reserve_down[t]))
    short, reserve = zeros(Int, 2), zeros(Int, 2)
    for (k, (held, mw)) in enumerate(asked)
        mw > 0.0 || continue
        short[k] = column!(p, 0.0, mw; cost=h * usd.reserve_shortfall)
        reserve[k] = row!(p, mw, Inf, [[(c, 1.0) for c in held if c > 0]; (short[k], 1.0)])
    end
    return Slot(t, power, up, down, charge, discharge, energy, dc, theta, shed, over,
                Tuple(short), Tuple(reserve), balance, change, Limit[])
end

"""Add `factor` times the flow on branch `k`, without its constant part, to a row."""
function flow_terms!(p::Program, row, r::Request, theta, k, factor)
    b = r.branches
    weight = factor * b.slope[k] / r.options.base_mva
    theta[b.from[k]] > 0 && entry!(p, row, theta[b.from[k]], weight)
    theta[b.to[k]] > 0 && entry!(p, row, theta[b.to[k]], -weight)
    return
end

function add_units!(p::Program, r::Request, t, balance)
    g = r.generators
    power, up, down = (zeros(Int, length(g.id)) for _ in 1:3)
    for k in findall(g.in_service)
        if g.thermal[k]
            running(r, t, k) || continue
            power[k] = add_thermal!(p, r, t, k)
            up[k], down[k] = add_reserve!(p, r, t, k, power[k])
        else
            most = r.available[t, k]
            power[k] = column!(p, g.must_take[k] ? most : min(most, 0.0), most)
        end
        entry!(p, balance[g.bus[k]], power[k], 1.0)
    end
    return power, up, down
end

# What a realised output may be off by, MW.
const ROUNDING = 1e-6

"""Output of a running unit within its limits and what the realised dispatch allows."""
function add_thermal!(p::Program, r::Request, t, k)
    g, h = r.generators, hours(r)
    low, high = g.p_min[k], ceiling(r, t, k)
    least, most = low, high
    # A unit that was below its minimum was off: it starts freely.
    if t == 1 && !isnan(g.before[k]) && g.before[k] >= low - ROUNDING
        ramp = g.ramp_per_minute[k] * r.options.minutes
        least, most = max(low, g.before[k] - ramp), min(high, g.before[k] + ramp)
        least <= most + ROUNDING || throw(Infeasible(
            "unit $(g.id[k]) cannot ramp from $(g.before[k]) MW to between $low and $high MW"))
        least = min(least, most)
    end
    cost = g.cost[k]
    if isempty(cost.mw)
        return column!(p, least, most; cost=h * cost.c1, quad=2.0 * h * cost.c2)
    end
    x, slope = pieces(cost, low, high)
    length(slope) == 1 && return column!(p, least, most; cost=h * slope[1])
    power = column!(p, least, most)
    # power = low + parts; the curve is convex, so the cheap parts fill first.
    row = row!(p, low, low, ((power, 1.0),))
    for n in eachindex(slope)
        entry!(p, row, column!(p, 0.0, x[n+1] - x[n]; cost=h * slope[n]), -1.0)
    end
    return power
end

"""Points and slopes of a curve within [low, high]; beyond its ends it goes on straight."""
function pieces(cost::Cost, low, high)
    slope = diff(cost.usd) ./ diff(cost.mw)
    inside = [k for k in 2:length(cost.mw)-1 if low < cost.mw[k] < high]
    x = [low; cost.mw[inside]; high]
    at_piece(mw) = clamp(searchsortedlast(cost.mw, mw), 1, length(slope))
    return x, [slope[at_piece(x[n])] for n in 1:length(x)-1]
end

"""Cost of one unit's output, USD/h."""
function usd_per_hour(cost::Cost, mw)
    isempty(cost.mw) && return (cost.c2 * mw + cost.c1) * mw + cost.c0
    k = clamp(searchsortedlast(cost.mw, mw), 1, length(cost.mw) - 1)
    slope = (cost.usd[k+1] - cost.usd[k]) / (cost.mw[k+1] - cost.mw[k])
    return cost.usd[k] + slope * (mw - cost.mw[k])
end

"""Reserve of a running unit: within its headroom and what it ramps in `reserve_minutes`."""
function add_reserve!(p::Program, r::Request, t, k, power)
    g = r.generators
    low, high = g.p_min[k], ceiling(r, t, k)
    reach = min(g.ramp_per_minute[k] * r.options.reserve_minutes, high - low)
    reach > 0.0 || return 0, 0
    up = down = 0
    if r.reserve_up[t] > 0.0
        up = column!(p, 0.0, reach)
        row!(p, -Inf, high, ((power, 1.0), (up, 1.0)))
    end
    if r.reserve_down[t] > 0.0
        down = column!(p, 0.0, reach)
        row!(p, low, Inf, ((power, 1.0), (down, -1.0)))
    end
    return up, down
end

function add_stores!(p::Program, r::Request, t, balance)
    s, h = r.stores, hours(r)
    charge, discharge, energy, change = (zeros(Int, length(s.id)) for _ in 1:4)
    for k in findall(s.in_service)
        either = r.discharging === nothing
        gives = either || r.discharging[t, k]
        takes = either || !gives
        # Least outputs belong to a commitment, not to directions that `solve` found itself.
        least = gives && r.options.commitment == "given" ? s.discharge_min[k] : 0.0
        charge[k] = column!(p, 0.0, takes ? s.charge_max[k] : 0.0)
        discharge[k] = column!(p, least, gives ? s.discharge_max[k] : 0.0)
        kept = t == intervals(r) ? s.energy_end[k] : 0.0
        kept <= s.energy_max[k] || throw(Infeasible("store $(s.id[k]) shall end above its size"))
        energy[k] = column!(p, kept, s.energy_max[k])
        spill = column!(p, 0.0, max(r.inflow[t, k], 0.0))
        change[k] = row!(p, h * r.inflow[t, k], h * r.inflow[t, k], (
            (energy[k], 1.0), (charge[k], -h * s.charge_efficiency[k]),
            (discharge[k], h / s.discharge_efficiency[k]), (spill, h)))
        entry!(p, balance[s.bus[k]], discharge[k], 1.0)
        entry!(p, balance[s.bus[k]], charge[k], -1.0)
    end
    return charge, discharge, energy, change
end

function add_dc_lines!(p::Program, r::Request, balance)
    d, found = r.dc_lines, zeros(Int, length(r.dc_lines.id))
    for k in findall(d.in_service)
        found[k] = column!(p, d.low[k], d.high[k])
        entry!(p, balance[d.from[k]], found[k], -1.0)
        entry!(p, balance[d.to[k]], found[k], 1.0 - d.loss_share[k])
        p.least[balance[d.to[k]]] = p.most[balance[d.to[k]]] += d.loss_fixed[k]
    end
    return found
end

"""A contradiction that no slack can take up."""
struct Infeasible <: Exception
    reason::String
end
Base.showerror(io::IO, e::Infeasible) = print(io, e.reason)

"""Units whose output in interval t - 1 limits that in t: they run in both, and their ramp is
less than the way between their limits."""
function ramping(r::Request, t)
    g = r.generators
    return [k for k in eachindex(g.id) if running(r, t - 1, k) && running(r, t, k) &&
            g.ramp_per_minute[k] * r.options.minutes <
            max(ceiling(r, t, k), ceiling(r, t - 1, k)) - g.p_min[k]]
end

"""
Join an interval to the one before, whose outputs and stored energies are columns of the program.

Args: `power` and `energy` are those columns, by unit and store; empty before the first interval.
"""
function join!(p::Program, r::Request, slot::Slot, power=Int[], energy=Int[])
    for k in findall(r.stores.in_service)
        if isempty(energy)
            row = slot.change[k]
            p.least[row] = p.most[row] += r.stores.energy_initial[k]
        else
            entry!(p, slot.change[k], energy[k], -1.0)
        end
    end
    isempty(power) && return
    for k in ramping(r, slot.interval)
        ramp = r.generators.ramp_per_minute[k] * r.options.minutes
        now, before, up = slot.power[k], power[k], slot.up[k]
        terms = [(now, 1.0), (before, -1.0)]
        row!(p, -Inf, ramp, up > 0 ? [terms; (up, 1.0)] : terms)
        row!(p, -ramp, Inf, terms)
    end
    return
end
