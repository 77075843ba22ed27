@testset "JSON" begin
    @test parse_json("{\"a\": [1, -2.5e3, true, null, \"x\\u00e9\\n\\ud83d\\ude00\"]}") ==
          Dict("a" => Any[1, -2500.0, true, nothing, "xé\n😀"])
    for text in ("{\"a\": 1,}", "[1 2]", "01", "\"open", "{} x", "{\"a\":1,\"a\":2}", "nul")
        @test_throws BadInput parse_json(text)
    end
    values = [0.1, 1e-300, 123456789.125, -1 / 3]
    @test parse_json(json_text(values)) == values
end

@testset "CSV" begin
    @test split_records("a,\"b,\"\"c\"\"\nd\",e\n1,2,3", "x") ==
          [["a", "b,\"c\"\nd", "e"], ["1", "2", "3"]]
    @test csv_text(("a", "b"), [("x,y", 0.1), ("z", NaN)]) == "a,b\n\"x,y\",0.1\nz,NA\n"
end

"""What a broken request is told: file, row, field, value and remedy."""
function refusal(name, old, new; digest=true)
    return mktempdir() do folder
        files = five_buses()
        @assert occursin(old, files[name])
        digest && (files[name] = replace(files[name], old => new; count=1))
        write_bundle(folder, files)
        digest || write(joinpath(folder, name), replace(files[name], old => new; count=1))
        try
            read_request(folder)
            "nothing"
        catch problem
            problem isa BadInput || rethrow()
            sprint(showerror, problem)
        end
    end
end

@testset "A broken request is named" begin
    @test refusal("gen.csv", "332.4", "many") ==
          "gen.csv, row 1, PMax MW: got \"many\"; give a finite number"
    @test refusal("branch.csv", "branch-2,1,3", "branch-2,1,33") ==
          "branch.csv, row 2, To Bus: got \"33\"; name a row of bus.csv"
    @test refusal("branch.csv", "0.06", "0.0") ==
          "branch.csv, row 1, X: got 0.0; give a reactance"
    @test occursin("gen.csv, row 1, Cost C2: got -0.0430293", refusal("gen.csv", "0.043", "-0.043"))
    @test occursin("contingencies.csv, row 3, Branches: got \"nine\"",
                   refusal("contingencies.csv", "branch-3", "nine"))
    @test occursin("series/load.csv, rows: got 2", refusal("series/load.csv", "\n3,20,43,45,65", ""))
    @test occursin("options.json, kind: got \"opf\"", refusal("options.json", "lascopf", "opf"))
    @test occursin("bus.csv, digest and bytes", refusal("bus.csv", "b3", "b9"; digest=false))
    @test refusal("bus.csv", "MW Shunt G", "Shunt") ==
          "bus.csv, header: got \"MW Shunt G\"; add the column MW Shunt G"
end
