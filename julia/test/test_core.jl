@testset "LDL' solves quasi-definite systems" begin
    # A fixed matrix of a pattern without structure; the oracle is dense elimination.
    n, m = 40, 25
    A = sparse([mod(7i * i + 3i, m) + 1 for i in 1:3n], [mod(i, n) + 1 for i in 1:3n],
               [sin(i) for i in 1:3n], m, n)
    H = [1.0 + cos(i)^2 for i in 1:n]
    upper = vcat(hcat(spdiagm(0 => H), sparse(A')), hcat(spzeros(m, n), spdiagm(0 => -ones(m))))
    F, entry = LascopfSolver.Ldl(upper, [ones(n); -ones(m)])
    F.upper.nzval[entry] = upper.nzval
    LascopfSolver.factor!(F)
    b = [sin(3.0i) for i in 1:n+m]
    K = Matrix(upper) + Matrix(upper)' - Diagonal(Vector(diag(upper)))
    @test K * LascopfSolver.solve!(F, copy(b)) ≈ b atol = 1e-10
end

@testset "Quadratic programs with known answers" begin
    # least 1/2 x^2 + x + 3 y with x + y = 5: x = 2 where its slope is 3, price 3.
    p = Program()
    x, y = column!(p, 0.0, 10.0; cost=1.0, quad=1.0), column!(p, 0.0, Inf; cost=3.0)
    row!(p, 5.0, 5.0, ((x, 1.0), (y, 1.0)))
    s = solve!(Interior(p))
    @test s.solved
    @test s.x ≈ [2.0, 3.0] atol = 1e-6
    @test s.y ≈ [3.0] atol = 1e-6
    @test s.objective ≈ 13.0 atol = 1e-7
    @test s.bound ≈ 13.0 atol = 1e-6
    # A straight one with a fixed column and a free one: least u + v, u >= w, v >= 4 - w, w = 1.
    p = Program()
    u, v = column!(p, 0.0, Inf; cost=1.0), column!(p, -Inf, Inf; cost=1.0)
    w = column!(p, 1.0, 1.0)
    row!(p, 0.0, Inf, ((u, 1.0), (w, -1.0)))
    row!(p, 4.0, Inf, ((v, 1.0), (w, 1.0)))
    s = solve!(Interior(p))
    @test s.x ≈ [1.0, 3.0, 1.0] atol = 1e-6
    @test s.y ≈ [1.0, 1.0] atol = 1e-6
    # Without a point that keeps its rows it says so.
    p = Program()
    u = column!(p, 0.0, 1.0)
    row!(p, 2.0, 2.0, ((u, 1.0),))
    row!(p, 0.5, 0.5, ((u, 1.0),))
    @test !solve!(Interior(p)).solved
end

"""Flows with some branches out, from a matrix factored anew."""
function flows_without(r, lost, injection)
    b = r.branches
    slope = [k in lost ? 0.0 : b.slope[k] for k in eachindex(b.id)]
    n = length(r.bus_id)
    B = zeros(n, n)
    for k in eachindex(b.id), (i, j, s) in ((b.from[k], b.from[k], 1), (b.to[k], b.to[k], 1),
                                            (b.from[k], b.to[k], -1), (b.to[k], b.from[k], -1))
        B[i, j] += s * slope[k]
    end
    theta = [0.0; B[2:n, 2:n] \ injection[2:n]]
    return slope .* (theta[b.from] .- theta[b.to])
end

@testset "Outage factors equal a matrix factored anew" begin
    files = five_buses()
    files["contingencies.csv"] = "UID,Branches,Generators\none,branch-4,\ntwo,branch-2;branch-7,\n" *
        "unit,,gen-2\nboth,branch-5,gen-1\nsplit,branch-1;branch-2,\n"
    r = mktempdir(folder -> read_request(write_bundle(folder, files)))
    net = Network(r)
    s = Security(r, net)
    @test s.left_out == ["split"]
    injection = [120.0, 45.0 - 20.0, -45.0, -40.0, -60.0]
    intact = flows_without(r, (), injection)
    @test intact ≈ LascopfSolver.flows(r.branches, LascopfSolver.angles(net, reshape(injection, :, 1))[:, 1])
    power = [120.0, 45.0]
    moved = Dict("one" => zeros(5), "two" => zeros(5), "unit" => [45.0, -45.0, 0, 0, 0],
                 "both" => [-120.0, 120.0, 0, 0, 0])
    for (c, outage) in enumerate(s.outages)
        after = intact[s.monitored] + s.factor[c] * intact[s.lost[c]] +
                unit_factors(r, net, s, c, 1) * power[outage.generators]
        oracle = flows_without(r, outage.branches, injection + moved[outage.id])
        @test after ≈ oracle[s.monitored] atol = 1e-9
    end
end
