# The network: islands, angles, and what outages do to flows (Wood and Wollenberg, Power Generation,
# Operation and Control, chapter 11 and its appendix A).

struct Network
    island::Vector{Int}         # of each bus
    reference::Vector{Int}      # bus of each island whose angle is 0
    kept::Vector{Int}           # the other buses
    factor::Any                 # LU of the susceptance matrix without the references
end

"""Number of the island of each bus when the branches `lost` are out."""
function islands(buses::Int, b::Branches, lost=())
    root = collect(1:buses)
    find(k) = (while root[k] != k; root[k] = root[root[k]]; k = root[k]; end; k)
    for k in findall(b.in_service)
        k in lost && continue
        i, j = find(b.from[k]), find(b.to[k])
        i == j || (root[max(i, j)] = min(i, j))
    end
    tops = [find(k) for k in 1:buses]
    number = Dict(t => n for (n, t) in enumerate(sort!(unique(tops))))
    return [number[t] for t in tops]
end

function Network(r::Request)
    n, b = length(r.bus_id), r.branches
    island = islands(n, b)
    reference = zeros(Int, maximum(island))
    for k in [findall(r.reference); 1:n]
        reference[island[k]] == 0 && (reference[island[k]] = k)
    end
    kept = setdiff(1:n, reference)
    matrix = sparse([b.from; b.to; b.from; b.to], [b.from; b.to; b.to; b.from],
                    [b.slope; b.slope; -b.slope; -b.slope], n, n)
    return Network(island, reference, kept, isempty(kept) ? nothing : lu(matrix[kept, kept]))
end

"""Angles for injections (MW), shape (buses, columns), radians."""
function angles(net::Network, injection::AbstractMatrix)
    theta = zeros(size(injection))
    isempty(net.kept) || (theta[net.kept, :] = net.factor \ injection[net.kept, :])
    return theta
end

flows(b::Branches, theta::AbstractVector) =
    b.slope .* (theta[b.from] .- theta[b.to]) .+ b.shift_mw

"""MW on every branch per MW sent from end to end of some, shape (L, lost)."""
function branch_transfers(b::Branches, net::Network, lost)
    unit = zeros(length(net.island), length(lost))
    for (column, k) in enumerate(lost)
        unit[b.from[k], column] += 1.0
        unit[b.to[k], column] -= 1.0
    end
    theta = angles(net, unit)
    return b.slope .* (theta[b.from, :] .- theta[b.to, :])
end

"""
Outages that leave every island whole, and their factors.

After outage c the flow on monitored branch m is `f_m + factor[c][m, :] * f[lost[c]]` plus the part of
its lost units (`unit_factors`).
"""
struct Security
    outages::Vector{Outage}
    left_out::Vector{String}
    monitored::Vector{Int}
    limit::Vector{Float64}
    lost::Vector{Vector{Int}}
    factor::Vector{Matrix{Float64}}
    transfer::Matrix{Float64}   # MW on each branch per MW of each unit; empty without lost units
end

# A branch whose loss leaves less than this share of its own transfer splits the network.
const SPLITS = 1e-8

function Security(r::Request, net::Network)
    b = r.branches
    monitored = findall(b.in_service .& isfinite.(b.rate_b))
    kept, left_out, lost, factor = Outage[], String[], Vector{Int}[], Matrix{Float64}[]
    for outage in (r.options.kind == "dcopf" ? Outage[] : r.outages)
        out = filter(k -> b.in_service[k], outage.branches)
        found = outage_factor(b, net, monitored, out)
        if found === nothing
            push!(left_out, outage.id)
        else
            push!(kept, outage)
            push!(lost, out)
            push!(factor, found)
        end
    end
    g = r.generators
    any_unit = any(o -> !isempty(o.generators), kept)
    unit = zeros(length(net.island), any_unit ? length(g.id) : 0)
    for k in 1:size(unit, 2)
        unit[g.bus[k], k] = 1.0
    end
    theta = angles(net, unit)
    return Security(kept, left_out, monitored, b.rate_b[monitored], lost, factor,
                    b.slope .* (theta[b.from, :] .- theta[b.to, :]))
end

"""Factors of branches lost together, shape (monitored, lost); nothing where they split."""
function outage_factor(b::Branches, net::Network, monitored, lost)
    isempty(lost) && return zeros(length(monitored), 0)
    transfer = branch_transfers(b, net, lost)
    stays = I - transfer[lost, :]
    if length(lost) == 1
        abs(stays[1, 1]) > SPLITS || return nothing
    else
        maximum(islands(length(net.island), b, lost)) > maximum(net.island) && return nothing
    end
    found = transfer[monitored, :] / stays
    for (column, k) in enumerate(lost)
        row = findfirst(==(k), monitored)
        row === nothing || (found[row, :] .= 0.0; found[row, column] = -1.0)
    end
    return found
end

"""
Change of the monitored flows per MW of each lost unit of outage `c`, shape (monitored, units).

The units that run on in its island take over a lost unit's output in proportion to their
capability; without any, flows stay as they are.
"""
function unit_factors(r::Request, net::Network, s::Security, c::Int, t::Int)
    g, gone = r.generators, s.outages[c].generators
    found = zeros(length(s.monitored), length(gone))
    for (column, unit) in enumerate(gone)
        home = net.island[g.bus[unit]]
        others = [k for k in eachindex(g.id) if g.in_service[k] && r.on[t, k] && !(k in gone) &&
                  net.island[g.bus[k]] == home && g.p_max[k] > 0.0]
        total = sum(Float64[g.p_max[k] for k in others])
        total > 0.0 || continue
        change = s.transfer[:, others] * (g.p_max[others] ./ total) .- s.transfer[:, unit]
        found[:, column] = change[s.monitored] .+ s.factor[c] * change[s.lost[c]]
    end
    return found
end
