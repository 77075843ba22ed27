# The iterations of the interior-point method on an `Interior`.

"""An iterate: columns, duals of rows, duals of lower and upper bounds."""
const Point = NTuple{4,Vector{Float64}}

# Complementarity (USD) at which an iterate is kept as the start of a later, similar program.
const WARM = 0.05
# A start without history: duals above those that the costs ask for (USD/MW), and complementarity.
const FIRST_DUAL, FIRST_MU = 100.0, 1e4

"""A start on the central path: with y = 0 the duals meet the costs, every product is the same."""
function cold_start(I::Interior)::Point
    x, zl, zu = zeros(I.n), zeros(I.n), zeros(I.n)
    for j in 1:I.n
        l, u = I.l[j], I.u[j]
        isfinite(l) && (zl[j] = FIRST_DUAL + max(I.c[j], 0.0))
        isfinite(u) && (zu[j] = FIRST_DUAL + max(-I.c[j], 0.0))
        inside = FIRST_MU / max(zl[j], zu[j], FIRST_DUAL)
        if isfinite(l) && isfinite(u) && inside > 0.5 * (u - l)
            inside = 0.5 * (u - l)
            zl[j] = zu[j] = FIRST_MU / inside
        end
        x[j] = clamp(0.0, l + inside, u - inside)
    end
    return x, zeros(I.m), zl, zu
end

"""
Solve, from an earlier central point if there is one.

Args: `gap` is the relative gap between objective and bound at which it ends.
Returns the solution in the columns and rows of the program.
"""
function solve!(I::Interior; gap=1e-9)
    warm = I.start
    found = iterate!(I, warm === nothing ? cold_start(I) : warm, gap)
    found.solved || warm === nothing && return found
    return found.solved ? found : iterate!(I, cold_start(I), gap)
end

function iterate!(I::Interior, start::Point, gap)
    x, y, zl, zu = map(copy, start)
    low, high = findall(isfinite, I.l), findall(isfinite, I.u)
    count = max(length(low) + length(high), 1)
    dl, du = fill(Inf, I.n), fill(Inf, I.n)
    best = nothing
    for k in 0:ITERATIONS
        @inbounds for j in low; dl[j] = x[j] - I.l[j]; end
        @inbounds for j in high; du[j] = I.u[j] - x[j]; end
        rp = I.b - I.A * x
        rd = I.At * y
        @. rd = rd - I.q * x - I.c + zl - zu
        total = dot(view(zl, low), view(dl, low)) + dot(view(zu, high), view(du, high))
        best = solution(I, x, y, zl, zu, rp, rd, k, low, high)
        mu = total / count
        isfinite(total) || return best
        mu >= WARM && largest(rd) < 1.0 && (I.start = map(copy, (x, y, zl, zu)))
        if best.primal <= PRIMAL && best.dual <= DUAL && total <= gap * (1.0 + abs(best.objective))
            return with_state(best, true)
        end
        k == ITERATIONS && break
        dx, dy, dzl, dzu, step = direction(I, x, y, zl, zu, dl, du, rp, rd, mu, count)
        step[1] < 1e-11 && step[2] < 1e-11 && break
        @. x += step[1] * dx
        @. y += step[2] * dy
        @. zl += step[2] * dzl
        @. zu += step[2] * dzu
    end
    # What the rounding of a badly scaled program allows is still far below a cent and a kilowatt.
    close = best.primal <= 1e3 * PRIMAL && best.dual <= 1e3 * DUAL &&
            best.objective - best.bound <= 1e-6 * (1.0 + abs(best.objective))
    return with_state(best, close)
end

"""Predictor, corrector and the lengths of the step, primal and dual."""
function direction(I, x, y, zl, zu, dl, du, rp, rd, mu, count)
    H = @. I.q + zl / dl + zu / du
    refactor!(I, H)
    # Predictor: straight to complementarity 0, where zl dl is left out of the right side.
    r1 = @. rd - zl + zu
    dx, w = saddle!(I, H, r1, rp; turns=1)
    dzl = @. -zl - zl * dx / dl
    dzu = @. -zu + zu * dx / du
    p, d = longest(I, dl, du, zl, zu, dx, dzl, dzu)
    after = 0.0
    @inbounds for j in 1:I.n
        isfinite(dl[j]) && (after += (zl[j] + d * dzl[j]) * (dl[j] + p * dx[j]))
        isfinite(du[j]) && (after += (zu[j] + d * dzu[j]) * (du[j] - p * dx[j]))
    end
    reached = max(after / count / mu, 0.0)
    found = corrected(I, H, zl, zu, dl, du, rd, rp, mu, clamp(reached^3, 1e-8, 1.0) * mu, dx, dzl, dzu)
    # Where the second-order term misleads, a plain step towards the central path goes further.
    if min(found[5]...) < SHORT
        other = corrected(I, H, zl, zu, dl, du, rd, rp, mu, max(reached, 0.3) * mu, dx, nothing, nothing)
        min(other[5]...) > min(found[5]...) && (found = other)
    end
    return found
end

# A step of the corrector below this is tried again without its second-order term.
const SHORT = 0.3

"""The step to complementarity `target`, with the second-order terms of a predictor if given."""
function corrected(I, H, zl, zu, dl, du, rd, rp, mu, target, dx0, dzl0, dzu0)
    second_l = dzl0 === nothing ? 0.0 : dx0 .* dzl0
    second_u = dzu0 === nothing ? 0.0 : dx0 .* dzu0
    cl = @. ifelse(isfinite(dl), (target - second_l) / dl, 0.0)
    cu = @. ifelse(isfinite(du), (target + second_u) / du, 0.0)
    r1 = @. rd - zl + zu + cl - cu
    dx, w = saddle!(I, H, r1, rp)
    dzl = @. cl - zl - zl * dx / dl
    dzu = @. cu - zu + zu * dx / du
    p, d = longest(I, dl, du, zl, zu, dx, dzl, dzu)
    back = max(0.995, 1.0 - mu)
    p, d = min(1.0, back * p), min(1.0, back * d)
    # With a quadratic cost columns and duals must move together.
    any(>(0.0), I.q) && (p = d = min(p, d))
    return dx, -w, dzl, dzu, (p, d)
end

"""Longest steps that keep distances and duals from passing 0."""
function longest(I, dl, du, zl, zu, dx, dzl, dzu)
    p = d = 1.0 / 0.9
    @inbounds for j in 1:I.n
        dx[j] < 0.0 && (p = min(p, -dl[j] / dx[j]))
        dx[j] > 0.0 && (p = min(p, du[j] / dx[j]))
        dzl[j] < 0.0 && (d = min(d, -zl[j] / dzl[j]))
        dzu[j] < 0.0 && (d = min(d, -zu[j] / dzu[j]))
    end
    return min(p, 1.0 / 0.9), min(d, 1.0 / 0.9)
end

function solution(I, x, y, zl, zu, rp, rd, k, low, high)
    curved = 0.5 * dot(x, I.q .* x)
    bound = dot(I.b, y) - curved + dot(view(I.l, low), view(zl, low)) -
            dot(view(I.u, high), view(zu, high))
    whole = copy(I.fixed)
    whole[I.kept] = x[1:length(I.kept)] .* I.scale
    cost = dot(I.c, x) + curved
    return Solution(whole, copy(y), cost + I.constant, bound + I.constant, largest(rp), largest(rd), k, false)
end

with_state(s::Solution, solved) =
    Solution(s.x, s.y, s.objective, s.bound, s.primal, s.dual, s.iterations, solved)
