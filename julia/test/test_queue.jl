function try_error(work)
    try
        work()
    catch problem
        return problem
    end
    return ErrorException("no error")
end

"""A queue with the five buses waiting in it."""
function waiting(work)
    mktempdir() do root
        q = Queue(root)
        write_bundle(joinpath(root, "incoming", "a1"), five_buses(); id="a1")
        work(q, root)
    end
end


@testset "A request is solved and moved" begin
    waiting() do q, root
        folder = claim!(q)
        @test basename(folder) == "a1@$(q.worker)"
        @test claim!(q) === nothing
        work!(q, folder)
        result = parse_json(read(joinpath(root, "done", "a1", "results", "result.json"), String))
        @test result["status"] == "optimal"
        @test result["request_id"] == "a1"
        @test result["objective"] ≈ 13_716.3355 rtol = 3e-6
        for (name, listed) in result["files"]
            bytes = read(joinpath(root, "done", "a1", "results", name))
            @test listed == Dict("sha256" => bytes2hex(sha256(bytes)), "bytes" => length(bytes))
        end
        @test isempty(readdir(joinpath(root, "working")))
    end
end

@testset "A poisoned request fails and the next is served" begin
    waiting() do q, root
        write(joinpath(root, "incoming", "a1", "bus.csv"), "broken")
        work!(q, claim!(q))
        failure = parse_json(read(joinpath(root, "failed", "a1", "failure.json"), String))
        @test startswith(failure["reason"], "bus.csv, digest and bytes")
        @test failure["attempts"] == 1
        @test occursin("failed: bus.csv", read(joinpath(root, "failed", "a1", "solver.log"), String))
        write_bundle(joinpath(root, "incoming", "a2"), five_buses(); id="a2")
        work!(q, claim!(q))
        @test isfile(joinpath(root, "done", "a2", "results", "result.json"))
    end
end

@testset "A claim without life goes back, the third time it has failed" begin
    waiting() do q, root
        for attempt in 1:3
            other = Queue(root, "other-$attempt")
            folder = claim!(other)
            @test attempts(folder) == attempt
            reclaim!(q)
            @test isdir(folder)             # alive: its heartbeat is new
            reclaim!(q; stale=-1.0)         # every claim is older than this
            @test !isdir(folder)
        end
        @test isempty(readdir(joinpath(root, "incoming")))
        failure = parse_json(read(joinpath(root, "failed", "a1", "failure.json"), String))
        @test failure["attempts"] == 3
    end
end

@testset "A solver that was asleep writes nothing" begin
    waiting() do q, root
        folder = claim!(q)
        other = Queue(root, "other")
        reclaim!(other; stale=-1.0)
        taken = claim!(other)
        work!(q, folder)
        @test !isdir(joinpath(root, "done", "a1"))
        work!(other, taken)
        @test isdir(joinpath(root, "done", "a1", "results"))
    end
end

@testset "Data loader" begin
    waiting() do q, root
        network = DataLoader.load_network_data("a1", root)
        @test network.case_name == "test"
        @test network.branches.id == ["branch-$k" for k in 1:7]
        folder = joinpath(root, "incoming", "a1")
        rows = DataLoader.load_measurements(DateTime(2020, 1, 1, 1), DateTime(2020, 1, 1, 3), folder)
        @test [row.time for row in rows] == [DateTime(2020, 1, 1, 1), DateTime(2020, 1, 1, 2)]
        @test rows[1].load["load-2"] == 30.0
        a = solve(network.request)
        results = DataLoader.results_of(network.request, a)
        @test sum(v.P[1] for v in values(results.dispatch)) ≈ 165.0 atol = 1e-6
        saved = parse_json(read(DataLoader.save_results("run-1", results, root), String))
        @test saved["dispatch"]["gen-1"]["P"] ≈ a.power[:, 1]
        @test saved["dispatch"]["gen-1"]["Q"] == [nothing, nothing, nothing]
        @test_throws BadInput DataLoader.save_results("../x", results, root)
        path = joinpath(root, "x.parquet")
        touch(path)
        @test occursin("Parquet2", sprint(showerror, try_error(() -> DataLoader.load_from_parquet(path))))
    end
end
