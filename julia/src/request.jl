# A request as arrays. Powers in MW, energies in MWh, angles in radians, costs in USD per hour;
# intervals are the first axis. Elements refer to buses by row.

struct Penalties
    load_shed::Float64
    over_generation::Float64
    branch_overload::Float64
    outage_overload::Float64
    reserve_shortfall::Float64
end

"""Steps to begin with, per unit on 100 MVA as in options.json."""
struct Steps
    alpha::Float64
    beta::Float64
    gamma::Float64
    tolerance::Float64
    max_iterations::Int
end

struct Options
    kind::String
    method::String
    commitment::String
    base_mva::Float64
    minutes::Float64
    intervals::Int
    reported::Int
    tolerance::Float64
    time_limit_seconds::Float64
    reserve_minutes::Float64
    penalties::Penalties
    steps::Steps
end

hours(o::Options) = o.minutes / 60.0

struct Branches
    id::Vector{String}
    from::Vector{Int}
    to::Vector{Int}
    slope::Vector{Float64}      # MW per radian, 0 out of service
    shift_mw::Vector{Float64}   # flow that the phase shifter alone would drive
    rate_a::Vector{Float64}     # intact network; Inf without limit
    rate_b::Vector{Float64}     # after an outage
    in_service::BitVector
end

"""Convex cost of a unit: `c2 P^2 + c1 P + c0`, or a curve where `mw` is not empty."""
struct Cost
    mw::Vector{Float64}
    usd::Vector{Float64}
    c2::Float64
    c1::Float64
    c0::Float64
end

struct Generators
    id::Vector{String}
    bus::Vector{Int}
    p_min::Vector{Float64}
    p_max::Vector{Float64}
    ramp_per_minute::Vector{Float64}
    before::Vector{Float64}     # NaN where it is not known
    thermal::BitVector
    must_take::BitVector
    in_service::BitVector
    cost::Vector{Cost}
end

struct Stores
    id::Vector{String}
    bus::Vector{Int}
    charge_max::Vector{Float64}
    discharge_max::Vector{Float64}
    discharge_min::Vector{Float64}
    energy_max::Vector{Float64}
    energy_initial::Vector{Float64}
    energy_end::Vector{Float64}
    charge_efficiency::Vector{Float64}
    discharge_efficiency::Vector{Float64}
    in_service::BitVector
end

struct DcLines
    id::Vector{String}
    from::Vector{Int}
    to::Vector{Int}
    low::Vector{Float64}
    high::Vector{Float64}
    loss_fixed::Vector{Float64}
    loss_share::Vector{Float64}
    in_service::BitVector
end

struct Outage
    id::String
    branches::Vector{Int}
    generators::Vector{Int}
end

"""One problem. Series are (intervals, elements)."""
struct Request
    id::String
    manifest_sha256::String
    case_name::String
    options::Options
    bus_id::Vector{String}
    reference::BitVector
    branches::Branches
    generators::Generators
    stores::Stores
    dc_lines::DcLines
    outages::Vector{Outage}
    demand::Matrix{Float64}             # (T, buses), shunts included
    available::Matrix{Float64}          # (T, generators)
    inflow::Matrix{Float64}             # (T, stores)
    reserve_up::Vector{Float64}
    reserve_down::Vector{Float64}
    on::BitMatrix                       # (T, generators)
    start_cost::Matrix{Float64}         # (T, generators), USD
    discharging::Union{Nothing,BitMatrix}   # nothing: a store may do either
    store_start_cost::Matrix{Float64}
end

intervals(r::Request) = r.options.intervals
hours(r::Request) = hours(r.options)

"""The request with directions for its stores; without a commitment they have no least output."""
directed(r::Request, gives) = Request((name === :discharging ? BitMatrix(gives) : getfield(r, name)
                                       for name in fieldnames(Request))...)
