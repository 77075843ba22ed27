# Agents of one interval each. An agent owns its interval's columns and believes what the interval
# before it decided: outputs of the units that ramp slowly, and stored energies. What joins two
# intervals is thus kept by the later one, and nothing but these beliefs is shared.

"""One agent: the program of its interval, its own limits, and the columns it shares."""
mutable struct Agent
    program::Program
    slot::Slot
    interior::Interior
    parts::Vector{Matrix{Float64}}
    own::Vector{Int}            # columns that the next agent has beliefs about
    belief::Vector{Int}         # beliefs about the columns that the agent before it owns
    cost::Vector{Float64}       # of own and belief columns without the method's terms
    quad::Vector{Float64}
    terms::Vector{Float64}      # the method's linear terms and curvature at the last solution
    changed::Bool               # whether they have changed since
    solution::Union{Nothing,Solution}
    excess::Vector{Excess}
end

"""The agent of interval `t`."""
function Agent(r::Request, net::Network, s::Security, t::Int)
    p = Program()
    slot = add_interval!(p, r, net, t)
    power, energy = believed(p, r, t)
    join!(p, r, slot, power, energy)
    own = t == intervals(r) ? Int[] : shared(r, t + 1, slot.power, slot.energy)
    belief = t == 1 ? Int[] : shared(r, t, power, energy)
    both = [own; belief]
    return Agent(p, slot, Interior(p), unit_parts(r, net, s, t), own, belief,
                 p.cost[both], p.quad[both], Float64[], true, nothing, Excess[])
end

"""Columns of an agent's beliefs about interval t - 1, by unit and store."""
function believed(p::Program, r::Request, t)
    t == 1 && return Int[], Int[]
    power, energy = zeros(Int, length(r.generators.id)), zeros(Int, length(r.stores.id))
    for k in ramping(r, t)
        power[k] = column!(p, r.generators.p_min[k], ceiling(r, t - 1, k))
    end
    for k in findall(r.stores.in_service)
        energy[k] = column!(p, 0.0, r.stores.energy_max[k])
    end
    return power, energy
end

"""The columns of interval t - 1 that interval t depends on, in one order for owner and believer."""
shared(r::Request, t, power, energy) = [power[ramping(r, t)]; energy[findall(r.stores.in_service)]]

"""Solve an agent's program, with more limits until its own solution breaks none.

Args: `grow` false keeps the limits as they are, which a bound needs.
"""
function solve!(a::Agent, r::Request, s::Security; grow=true, gap=1e-9)
    recost!(a.interior, a.program)
    while true
        a.solution = solve!(a.interior; gap=gap)
        (grow && a.solution.solved) || return a
        state = state_of(r, a.slot, a.solution.x)
        a.excess = beyond(r, s, a.parts, a.slot.interval, state...)
        add_limits!(a.program, r, s, a.parts, a.slot, a.excess) == 0 && return a
        a.interior = Interior(a.program)
    end
end

# Linear terms that would move no shared column by more than this, MW, are as good as the last ones: a
# hundred such columns together are off by 1e-5 p.u., a tenth of the tolerance.
const UNCHANGED = 1e-4

"""Set the costs of the shared columns: linear terms and curvature beside their own."""
function set_terms!(a::Agent, linear, curvature)
    both, terms = [a.own; a.belief], [linear; curvature]
    a.changed = length(a.terms) != length(terms) || a.terms[end] != curvature ||
                largest(a.terms .- terms) > UNCHANGED * curvature
    a.changed || return a
    a.terms = terms
    a.program.cost[both] = a.cost .+ linear
    a.program.quad[both] = a.quad .+ curvature
    return a
end
