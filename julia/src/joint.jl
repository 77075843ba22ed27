# All intervals in one program, limits added until none is broken.

"""The program of all intervals and its slots."""
function joint_program(r::Request, net::Network)
    p, slots = Program(), Slot[]
    for t in 1:intervals(r)
        slot = add_interval!(p, r, net, t)
        t == 1 ? join!(p, r, slot) : join!(p, r, slot, slots[end].power, slots[end].energy)
        push!(slots, slot)
    end
    return p, slots
end

"""What a method found: a solution of the joint program, and what was said on the way."""
struct Found
    program::Program
    slots::Vector{Slot}
    solution::Solution
    excess::Vector{Excess}      # every flow beyond its limit
    bound::Float64              # USD, starts and constants of costs left out
    history::Vector{NamedTuple}
    iterations::Int
    converged::Bool
    notes::Vector{String}
end

"""
Solve a program of all intervals with more and more limits.

Args: `known` are limits (interval, branch, outage, upper) that are in it from the start.
"""
function grow!(p::Program, slots, r::Request, net::Network, s::Security, parts, clock;
               known=(), history=NamedTuple[])
    for (t, k, c, upper) in known
        push!(slots[t].limits, add_limit!(p, r, s, parts[t], slots[t], k, c, upper))
    end
    while true
        found = solve!(Interior(p))
        found.solved || return found, Excess[], false
        excess = [beyond(r, s, parts[t], t, state_of(r, slots[t], found.x)...)
                  for t in eachindex(slots)]
        broken = unkept(slots, excess)
        push!(history, entry_of(history, found.objective, found.bound, NaN, NaN, broken, clock))
        added = [add_limits!(p, r, s, parts[t], slots[t], excess[t]) for t in eachindex(slots)]
        done = sum(added) == 0
        late = seconds(clock) > r.options.time_limit_seconds
        (done || late) && return found, reduce(vcat, excess), done
    end
end

"""The largest excess for which a slot has no row."""
function unkept(slots, excess)
    worst = 0.0
    for (slot, found) in zip(slots, excess)
        known = Set((l.branch, l.outage, l.upper) for l in slot.limits)
        for e in found
            (e.branch, e.outage, e.flow > 0.0) in known || (worst = max(worst, e.mw))
        end
    end
    return worst
end

entry_of(history, objective, bound, disagreement, movement, broken, clock) =
    (iteration=length(history) + 1, objective=objective, bound=bound, disagreement=disagreement,
     movement=movement, violation=broken, seconds=seconds(clock))

seconds(clock) = (time_ns() - clock) / 1e9

function solve_joint(r::Request, net::Network, s::Security, clock)
    p, slots = joint_program(r, net)
    parts = [unit_parts(r, net, s, t) for t in 1:intervals(r)]
    history = NamedTuple[]
    found, excess, done = grow!(p, slots, r, net, s, parts, clock; history=history)
    return Found(p, slots, found, excess, found.bound, history, length(history), done, String[])
end
