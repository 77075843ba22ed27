# The auxiliary problem principle (Cohen, J. Optimization Theory and Applications 32(3), 1980) over
# intervals. x is what an owner decides, y what the next agent believes, d = x - y. In each round
#
#   owner     cost + x (l + gamma d) + beta/2 (x - last x)^2
#   believer  cost - y (l + gamma d) + beta/2 (y - last y)^2
#   prices    l += alpha d
#
# With beta = 2 gamma = 2 alpha this is the alternating direction method on the means of x and y.

"""State of one pair of neighbours, MW or MWh and USD per MW."""
mutable struct Joint
    x::Vector{Float64}
    y::Vector{Float64}
    price::Vector{Float64}
end

# Rounds between changes of the steps, the last round that changes them, and the ratio of
# disagreement and movement (geometric means) that asks for it.
const TURNS, LAST_TURN, APART = 10, 1000, 3.0
# Rounds between screenings while neighbours still disagree.
const SCREEN = 5

function solve_app(r::Request, net::Network, s::Security, clock)
    T = intervals(r)
    agents = Vector{Agent}(undef, T)
    for t in 1:T
        agents[t] = Agent(r, net, s, t)
    end
    each_agent(a -> solve!(a, r, s), agents)
    all(a -> a.solution.solved, agents) || throw(Infeasible(unsolved(agents)))
    # First everyone's own optimum, about which the neighbours agree.
    joints = [Joint(values_of(agents[t], :own), values_of(agents[t], :own),
                    zeros(length(agents[t].own))) for t in 1:T-1]
    history = NamedTuple[]
    converged, rounds = negotiate!(agents, joints, r, s, clock, history)
    bound = lower_bound!(agents, joints, r, s)
    return repair(agents, joints, r, net, s, clock, history, bound, converged, rounds)
end

"""Every agent on its own, shared among threads. No agent reads another's state, so the answer does
not depend on their number."""
function each_agent(work, agents)
    Threads.@threads for k in eachindex(agents)
        work(agents[k])
    end
    return agents
end

values_of(a::Agent, name) = a.solution.x[getfield(a, name)]

unsolved(agents) = "interval $(findfirst(a -> !a.solution.solved, agents)) has no dispatch within " *
                   "its limits: look at ramps from the realised dispatch and at stored energy"

"""Rounds until all agree and no limit is broken; whether they did, and how many."""
function negotiate!(agents, joints, r::Request, s::Security, clock, history)
    d, scale = r.options.steps, hours(r) / 100.0^2
    alpha, beta, gamma = d.alpha * scale, d.beta * scale, d.gamma * scale
    logs = zeros(2)
    for round in 1:d.max_iterations
        seconds(clock) > r.options.time_limit_seconds && return false, round - 1
        for (t, a) in enumerate(agents)
            set_terms!(a, terms(joints, t, gamma, beta), beta)
        end
        screen = round % SCREEN == 0
        each_agent(a -> a.changed ? solve!(a, r, s; grow=screen, gap=1e-8) :
                        screen ? grow!(screen!(a, r, s), r, s) : a, agents)
        all(a -> a.solution.solved, agents) || return false, round
        disagreement, movement = settle!(agents, joints, alpha)
        worst = 0.0
        if disagreement < d.tolerance && movement < d.tolerance
            screen || each_agent(a -> screen!(a, r, s), agents)
            worst = maximum(unkept([a.slot], [a.excess]) for a in agents)
            worst <= COUNTS && (note!(history, agents, disagreement, movement, worst, clock);
                                return true, round)
            each_agent(a -> grow!(a, r, s), agents)
        end
        note!(history, agents, disagreement, movement, worst, clock)
        logs .+= log.(max.((disagreement, movement), 1e-12))
        if round % TURNS == 0
            ratio = exp((logs[1] - logs[2]) / TURNS)
            factor = round > LAST_TURN ? 1.0 : ratio > APART ? 2.0 : ratio < 1.0 / APART ? 0.5 : 1.0
            alpha, beta, gamma = factor .* (alpha, beta, gamma)
            fill!(logs, 0.0)
        end
    end
    return false, d.max_iterations
end

"""Linear terms of agent `t`: those of its own columns, then those of its beliefs."""
function terms(joints, t, gamma, beta)
    own = t > length(joints) ? Float64[] :
        (j = joints[t]; @. j.price + gamma * (j.x - j.y) - beta * j.x)
    belief = t == 1 ? Float64[] :
        (j = joints[t-1]; @. -(j.price + gamma * (j.x - j.y)) - beta * j.y)
    return [own; belief]
end

"""Take over what the agents found and move the prices; the 2-norms of disagreement and movement, per
unit on 100 MVA."""
function settle!(agents, joints, alpha)
    apart, moved = 0.0, 0.0
    for (t, j) in enumerate(joints)
        x, y = values_of(agents[t], :own), values_of(agents[t+1], :belief)
        moved += sum(abs2, x .- j.x) + sum(abs2, y .- j.y)
        apart += sum(abs2, x .- y)
        @. j.price += alpha * (x - y)
        j.x, j.y = x, y
    end
    return sqrt(apart) / 100.0, sqrt(moved) / 100.0
end

function screen!(a::Agent, r::Request, s::Security)
    a.excess = beyond(r, s, a.parts, a.slot.interval, state_of(r, a.slot, a.solution.x)...)
    return a
end

function grow!(a::Agent, r::Request, s::Security)
    if add_limits!(a.program, r, s, a.parts, a.slot, a.excess) > 0
        a.interior = Interior(a.program)
        empty!(a.terms)     # to be solved again in any case
    end
    return a
end

function note!(history, agents, disagreement, movement, worst, clock)
    total = sum(own_cost, agents)
    push!(history, entry_of(history, total, NaN, disagreement, movement, worst, clock))
    return
end

"""What an agent's answer costs without the method's terms, USD."""
function own_cost(a::Agent)
    cost, quad, both = copy(a.program.cost), copy(a.program.quad), [a.own; a.belief]
    cost[both], quad[both] = a.cost, a.quad
    x = a.solution.x
    return dot(cost, x) + 0.5 * dot(quad, x .^ 2)
end

"""A lower bound of the whole: the agents at the last prices, without the terms that hold them."""
function lower_bound!(agents, joints, r::Request, s::Security)
    for (t, a) in enumerate(agents)
        empty!(a.terms)
        set_terms!(a, terms(joints, t, 0.0, 0.0), 0.0)
        a.interior.start = nothing
    end
    each_agent(a -> solve!(a, r, s; grow=false), agents)
    return all(a -> a.solution.solved, agents) ? sum(a.solution.bound for a in agents) : -Inf
end

# Curvature (USD/MW^2 for an hour) that holds the repaired dispatch to the agents' answer.
const HOLD = 0.02

"""
The dispatch near the agents' answer that keeps every row of all intervals together.

One step of the proximal point method on the whole, from the agents' answer and with their limits: it
moves shared columns by about what the agents still disagreed.
"""
function repair(agents, joints, r, net, s, clock, history, bound, converged, rounds)
    p, slots = joint_program(r, net)
    hold, held, towards = HOLD * hours(r), Int[], Float64[]
    for (t, j) in enumerate(joints)
        append!(held, shared(r, t + 1, slots[t].power, slots[t].energy))
        append!(towards, 0.5 .* (j.x .+ j.y))
    end
    p.cost[held] .-= hold .* towards
    p.quad[held] .+= hold
    known = [(a.slot.interval, l.branch, l.outage, l.upper) for a in agents for l in a.slot.limits]
    parts = [a.parts for a in agents]
    found, excess, done = grow!(p, slots, r, net, s, parts, clock; known=known)
    bound = max(bound, bound_without(p, found, held, towards, hold))
    notes = converged ? String[] : ["the agents did not agree within $rounds rounds: repaired"]
    return Found(p, slots, found, excess, bound, history, rounds, converged && done, notes)
end

"""
The lower bound that the duals of the repair give for the problem without the terms that hold it.

By weak duality: with the held columns' reduced costs off by `e = -hold (x - towards)`, no point within
the bounds costs less than the dual objective plus the least of `e x` within them.
"""
function bound_without(p::Program, found::Solution, held, towards, hold)
    bound = found.bound
    for (k, column) in enumerate(held)
        x = found.x[column]
        e = -hold * (x - towards[k])
        bound += 0.5 * hold * x^2 + min(e * p.low[column], e * p.high[column])
    end
    return bound
end
