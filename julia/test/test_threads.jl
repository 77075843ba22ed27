# The answer is the same to the last byte for any number of threads.

const PROGRAM = """
using LascopfSolver
r = LascopfSolver.read_request(ARGS[1])
a = LascopfSolver.solve(r)
for (name, text) in LascopfSolver.tables_of(r, a)
    name == "history.csv" || print(text)
end
"""

@testset "One thread and four" begin
    mktempdir() do folder
        write_bundle(folder, five_buses())
        project = dirname(@__DIR__)
        answers = map((1, 4)) do threads
            read(`$(Base.julia_cmd()) --project=$project --threads=$threads -e $PROGRAM $folder`, String)
        end
        @test length(answers[1]) > 1000
        @test answers[1] == answers[2]
    end
end
