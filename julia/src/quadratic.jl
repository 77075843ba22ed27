# Quadratic programs  min 1/2 x'Qx + c'x,  A x = b,  l <= x <= u,  Q diagonal, by a primal-dual
# interior-point method with Mehrotra's predictor and corrector (Mehrotra, SIAM J. Optimization 2(4),
# 1992; Wright, Primal-Dual Interior-Point Methods, 1997).

"""A program that grows by columns and rows; rows are `lo <= a'x <= hi`."""
mutable struct Program
    cost::Vector{Float64}
    quad::Vector{Float64}
    low::Vector{Float64}
    high::Vector{Float64}
    row::Vector{Int}
    column::Vector{Int}
    value::Vector{Float64}
    least::Vector{Float64}
    most::Vector{Float64}
end

Program() = Program(Float64[], Float64[], Float64[], Float64[], Int[], Int[], Float64[],
                    Float64[], Float64[])

function column!(p::Program, low, high; cost=0.0, quad=0.0)
    push!(p.cost, cost)
    push!(p.quad, quad)
    push!(p.low, low)
    push!(p.high, high)
    return length(p.cost)
end

function row!(p::Program, least, most, terms=())
    push!(p.least, least)
    push!(p.most, most)
    for (column, value) in terms
        entry!(p, length(p.least), column, value)
    end
    return length(p.least)
end

function entry!(p::Program, row, column, value)
    value == 0.0 && return
    push!(p.row, row)
    push!(p.column, column)
    push!(p.value, value)
    return
end

"""Solution of a program: columns, duals of rows (what one more unit of a row's bound costs),
objective, lower bound, and the largest residuals."""
struct Solution
    x::Vector{Float64}
    y::Vector{Float64}
    objective::Float64
    bound::Float64
    primal::Float64
    dual::Float64
    iterations::Int
    solved::Bool
end

# Residuals in MW and USD/MW at which a solution counts as found: far below what is reported.
const PRIMAL, DUAL = 1e-7, 1e-6
const ITERATIONS = 120
# Regularisation of the matrix, made up for by refinement: below the curvature of any column that
# matters, far enough above 0 that angles, which have no curvature of their own, are good pivots.
const SHIFT = 1e-7

"""A program in the form of the method: fixed columns taken out, rows with room get a column."""
mutable struct Interior
    n::Int
    m::Int
    A::SparseMatrixCSC{Float64,Int}     # (m, n)
    At::SparseMatrixCSC{Float64,Int}    # its transpose, so that products go along columns
    q::Vector{Float64}
    c::Vector{Float64}
    b::Vector{Float64}
    l::Vector{Float64}
    u::Vector{Float64}
    kept::Vector{Int}       # column of the program of each of the first columns here
    scale::Vector{Float64}  # of those columns: a column here counts this much in the program
    fixed::Vector{Float64}  # values of the fixed columns, 0 for the others
    constant::Float64       # their cost
    factor::Ldl
    entry::Vector{Int}      # place of each entry of the upper triangle in the factor
    start::Union{Nothing,NTuple{4,Vector{Float64}}}
end

function Interior(p::Program)
    n0, m = length(p.cost), length(p.least)
    free = p.high .- p.low .> 1e-9
    fixed = ifelse.(free, 0.0, p.low)
    kept = findall(free)
    number = zeros(Int, n0)
    number[kept] = 1:length(kept)
    A0 = sparse(p.row, p.column, p.value, m, n0)
    shift = A0 * fixed
    roomy = findall(p.most .> p.least)
    n = length(kept) + length(roomy)
    slack = sparse(roomy, 1:length(roomy), -1.0, m, length(roomy))
    # Columns without bounds (angles) have no curvature: their entries are brought to 1 at most, so
    # that the regularisation is small beside them.
    scale = ones(length(kept))
    for (j, k) in enumerate(kept)
        isfinite(p.low[k]) || isfinite(p.high[k]) || (scale[j] = 1.0 / largest(A0[:, k].nzval))
    end
    A = hcat(A0[:, kept] * spdiagm(0 => scale), slack)
    b = [p.most[i] > p.least[i] ? -shift[i] : p.least[i] - shift[i] for i in 1:m]
    q = [p.quad[kept] .* scale .^ 2; zeros(length(roomy))]
    c = [p.cost[kept] .* scale; zeros(length(roomy))]
    l, u = [p.low[kept]; p.least[roomy]], [p.high[kept]; p.most[roomy]]
    upper = vcat(hcat(spdiagm(0 => ones(n)), sparse(A')),
                 hcat(spzeros(m, n), spdiagm(0 => -ones(m))))
    factor, entry = Ldl(upper, [ones(n); -ones(m)])
    I = Interior(n, m, A, sparse(A'), q, c, b, l, u, kept, scale, fixed, fixed_cost(p, fixed), factor, entry, nothing)
    factor.upper.nzval[entry] = upper.nzval
    return I
end

fixed_cost(p::Program, fixed) = dot(p.cost, fixed) + 0.5 * dot(p.quad, fixed .^ 2)

"""Take over new costs of the program; its columns and rows stay."""
function recost!(I::Interior, p::Program)
    k = length(I.kept)
    I.c[1:k] = p.cost[I.kept] .* I.scale
    I.q[1:k] = p.quad[I.kept] .* I.scale .^ 2
    I.constant = fixed_cost(p, I.fixed)
    return I
end

"""Write the diagonal and factor. The first n entries of the upper triangle are the diagonal of the
columns, one to a column; the rows' diagonal entries are the last of their columns."""
function refactor!(I::Interior, diagonal::Vector{Float64})
    values, At = I.factor.upper.nzval, I.At
    @inbounds for j in 1:I.n
        values[I.entry[j]] = diagonal[j] + SHIFT
    end
    @inbounds for i in 1:I.m
        values[I.entry[I.n + At.colptr[i+1] - 1 + i]] = -SHIFT
    end
    factor!(I.factor)
    return
end

largest(v) = isempty(v) ? 0.0 : maximum(abs, v)

"""Solve `[H A'; A 0] (dx, w) = (r1, r2)` with the last factor, refined while that helps."""
function saddle!(I::Interior, H, r1, r2; turns=6)
    n, m = I.n, I.m
    right = [r1; r2]
    found = solve!(I.factor, copy(right))
    rest = copy(right)
    enough, last = 1e-12 * largest(right), Inf
    best = copy(found)
    for turn in 0:turns
        dx, w = view(found, 1:n), view(found, n+1:n+m)
        @views mul!(rest[1:n], I.At, w)
        @views mul!(rest[n+1:n+m], I.A, dx)
        @inbounds for j in 1:n
            rest[j] = right[j] - H[j] * dx[j] - rest[j]
        end
        @inbounds for i in n+1:n+m
            rest[i] = right[i] - rest[i]
        end
        size0 = largest(rest)
        size0 < last || break
        copyto!(best, found)
        last = size0
        (turn == turns || size0 <= enough) && break
        found .+= solve!(I.factor, rest)
    end
    return best[1:n], best[n+1:end]
end
