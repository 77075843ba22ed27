# Which flows are beyond their limits, and the rows that keep them.

"""A flow beyond its limit: outage 0 is the intact network."""
struct Excess
    interval::Int
    branch::Int
    outage::Int
    flow::Float64
    mw::Float64
end

# An excess that does not count, MW: two digits above the accuracy of a solution.
const COUNTS = 1e-5
# Outages for each branch, interval and direction that get a row in one round.
const ROWS_EACH = 4

"""Everything of one interval that does not depend on the dispatch: factors of lost units."""
unit_parts(r::Request, net::Network, s::Security, t) =
    [isempty(o.generators) ? zeros(0, 0) : unit_factors(r, net, s, c, t)
     for (c, o) in enumerate(s.outages)]

"""
All flows of interval `t` beyond their limits.

Args: `flow` (L) of the intact network, `power` (units), MW; `parts` of `unit_parts`.
"""
function beyond(r::Request, s::Security, parts, t, flow, power)
    found, b = Excess[], r.branches
    for k in findall(b.in_service)
        mw = abs(flow[k]) - b.rate_a[k]
        mw > COUNTS && push!(found, Excess(t, k, 0, flow[k], mw))
    end
    after = zeros(length(s.monitored))
    intact = flow[s.monitored]
    for c in eachindex(s.outages)
        copyto!(after, intact)
        for (column, k) in enumerate(s.lost[c])
            axpy!(flow[k], view(s.factor[c], :, column), after)
        end
        isempty(parts[c]) || (after .+= parts[c] * power[s.outages[c].generators])
        for (m, k) in enumerate(s.monitored)
            mw = abs(after[m]) - s.limit[m]
            mw > COUNTS && push!(found, Excess(t, k, c, after[m], mw))
        end
    end
    return found
end

"""
Add rows for the flows beyond their limits that the slot has none for; the number added.

A row is `flow - excess <= rating`, or `flow + excess >= -rating`, with the flow in terms of angles
and, after the loss of units, of their outputs.
"""
function add_limits!(p::Program, r::Request, s::Security, parts, slot::Slot, found)
    known = Set((l.branch, l.outage, l.upper) for l in slot.limits)
    new = filter(e -> !((e.branch, e.outage, e.flow > 0.0) in known), found)
    sort!(new; by=e -> (-e.mw, e.branch, e.outage))
    count, added = Dict{Tuple{Int,Bool},Int}(), 0
    for e in new
        key = (e.branch, e.flow > 0.0)
        get(count, key, 0) < ROWS_EACH || continue
        count[key] = get(count, key, 0) + 1
        push!(slot.limits, add_limit!(p, r, s, parts, slot, e.branch, e.outage, e.flow > 0.0))
        added += 1
    end
    return added
end

function add_limit!(p::Program, r::Request, s::Security, parts, slot::Slot, k, c, upper)
    b, usd = r.branches, r.options.penalties
    price = hours(r) * (c == 0 ? usd.branch_overload : usd.outage_overload)
    rate = c == 0 ? b.rate_a[k] : b.rate_b[k]
    excess = column!(p, 0.0, Inf; cost=price)
    sources = Tuple{Int,Float64}[(k, 1.0)]
    row = row!(p, -Inf, Inf)
    offset = 0.0
    if c > 0
        m = searchsortedfirst(s.monitored, k)
        append!(sources, [(l, s.factor[c][m, n]) for (n, l) in enumerate(s.lost[c])])
        for (n, unit) in enumerate(s.outages[c].generators)
            column = slot.power[unit]
            column > 0 && entry!(p, row, column, parts[c][m, n])
        end
    end
    for (branch, factor) in sources
        flow_terms!(p, row, r, slot.theta, branch, factor)
        offset += factor * b.shift_mw[branch]
    end
    entry!(p, row, excess, upper ? -1.0 : 1.0)
    upper ? (p.most[row] = rate - offset) : (p.least[row] = -rate - offset)
    return Limit(k, c, upper, row, excess)
end

"""Flows (L) and outputs (units) of a solution in one interval, MW."""
function state_of(r::Request, slot::Slot, x)
    theta = [at(x, c) for c in slot.theta] ./ r.options.base_mva
    return flows(r.branches, theta), [at(x, c) for c in slot.power]
end
