# LDL' of sparse symmetric quasi-definite matrices, up-looking (Davis, Direct Methods for Sparse
# Linear Systems, chapter 4). Our own because the factorisation of Julia's library shares one state
# between threads before version 1.7, and because the pivots' signs are known here and kept.

"""Factor of `P K P'`, K given by the upper triangle of the permuted matrix."""
mutable struct Ldl
    n::Int
    perm::Vector{Int}           # row of K at each place
    upper::SparseMatrixCSC{Float64,Int}   # permuted, upper triangle with diagonal
    parent::Vector{Int}
    pointer::Vector{Int}        # of the columns of L
    rows::Vector{Int}
    values::Vector{Float64}
    d::Vector{Float64}
    sign::Vector{Float64}       # sign that each pivot must have, permuted
    flag::Vector{Int}
    next::Vector{Int}
    pattern::Vector{Int}
    work::Vector{Float64}
    right::Vector{Float64}
end

const ORDERING = ReentrantLock()
# The smallest pivot: what is below is set to it, and refinement makes up for the difference.
const LEAST_PIVOT = 1e-8

"""An order of elimination with little fill, from CHOLMOD on a matrix of the same pattern."""
function fill_order(upper::SparseMatrixCSC)
    n = size(upper, 1)
    n == 0 && return Int[]
    rows, columns, _ = findnz(upper)
    off = rows .!= columns
    pattern = sparse(rows[off], columns[off], 1.0, n, n)
    degree = vec(sum(pattern, dims=1)) .+ vec(sum(pattern, dims=2))
    surrogate = pattern + pattern' + spdiagm(0 => degree .+ 1.0)
    return lock(() -> Vector{Int}(cholesky(Symmetric(surrogate)).p), ORDERING)
end

"""
Prepare the factor of a matrix with the pattern of `upper` (upper triangle, whole diagonal).

Returns the factor and, for each stored entry of `upper`, its place in the factor's own matrix.
"""
function Ldl(upper::SparseMatrixCSC{Float64,Int}, sign::Vector{Float64})
    n = size(upper, 1)
    perm = fill_order(upper)
    place_of = invperm(perm)
    rows, columns, _ = findnz(upper)
    low = min.(place_of[rows], place_of[columns])
    high = max.(place_of[rows], place_of[columns])
    # The entries' numbers ride along as values, which tells where each went.
    permuted = sparse(low, high, Float64.(1:length(rows)), n, n)
    entry = Vector{Int}(undef, length(rows))
    entry[Int.(permuted.nzval)] = 1:length(rows)
    parent, counts = elimination_tree(permuted)
    pointer = cumsum([1; counts])
    total = pointer[end] - 1
    return Ldl(n, perm, permuted, parent, pointer, zeros(Int, total), zeros(total), zeros(n),
               sign[perm], zeros(Int, n), zeros(Int, n), zeros(Int, n), zeros(n), zeros(n)), entry
end

function elimination_tree(upper)
    n = size(upper, 1)
    parent, counts, flag = zeros(Int, n), zeros(Int, n), zeros(Int, n)
    for k in 1:n
        flag[k] = k
        for p in upper.colptr[k]:upper.colptr[k+1]-1
            i = upper.rowval[p]
            while flag[i] != k
                parent[i] == 0 && (parent[i] = k)
                counts[i] += 1
                flag[i] = k
                i = parent[i]
            end
        end
    end
    return parent, counts
end

"""Factor anew after the values of `F.upper` changed."""
function factor!(F::Ldl)
    U, Lp, Li, Lx, D, Y = F.upper, F.pointer, F.rows, F.values, F.d, F.work
    flag, next, pattern, parent = F.flag, F.next, F.pattern, F.parent
    fill!(flag, 0)
    @inbounds for k in 1:F.n
        next[k] = Lp[k]
        top = F.n + 1
        flag[k] = k
        Y[k] = 0.0
        pivot = 0.0
        for p in U.colptr[k]:U.colptr[k+1]-1
            i = U.rowval[p]
            if i == k
                pivot += U.nzval[p]
                continue
            end
            Y[i] += U.nzval[p]
            len = 0
            while flag[i] != k
                len += 1
                pattern[len] = i
                flag[i] = k
                i = parent[i]
            end
            while len > 0
                top -= 1
                pattern[top] = pattern[len]
                len -= 1
            end
        end
        for place in top:F.n
            i = pattern[place]
            y = Y[i]
            Y[i] = 0.0
            for p in Lp[i]:next[i]-1
                Y[Li[p]] -= Lx[p] * y
            end
            l = y / D[i]
            pivot -= l * y
            Li[next[i]] = k
            Lx[next[i]] = l
            next[i] += 1
        end
        D[k] = F.sign[k] * pivot > LEAST_PIVOT ? pivot : F.sign[k] * LEAST_PIVOT
    end
    return F
end

"""Solve in place."""
function solve!(F::Ldl, b::AbstractVector{Float64})
    y, Lp, Li, Lx = F.right, F.pointer, F.rows, F.values
    @inbounds begin
        for k in 1:F.n
            y[k] = b[F.perm[k]]
        end
        for k in 1:F.n
            value = y[k]
            value == 0.0 && continue
            for p in Lp[k]:Lp[k+1]-1
                y[Li[p]] -= Lx[p] * value
            end
        end
        for k in 1:F.n
            y[k] /= F.d[k]
        end
        for k in F.n:-1:1
            value = y[k]
            for p in Lp[k]:Lp[k+1]-1
                value -= Lx[p] * y[Li[p]]
            end
            y[k] = value
        end
        for k in 1:F.n
            b[F.perm[k]] = y[k]
        end
    end
    return b
end
