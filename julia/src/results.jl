# The writer of results: tables and result.json in a folder made under another name and renamed.

const SOLVER, SOLVER_VERSION = "LascopfSolver", "0.1.0"

"""Write the answer to `folder`, whole or not at all: it is made beside and renamed."""
function write_results(folder::AbstractString, r::Request, a::Answer)
    ispath(folder) && throw(BadInput(folder, "a folder that exists", "write to another place"))
    partial = folder * ".partial"
    rm(partial; recursive=true, force=true)
    mkpath(partial)
    files = isempty(a.cost) ? Pair[] : tables_of(r, a)
    listed = Pair[]
    for (name, text) in files
        write_synced(joinpath(partial, name), text)
        push!(listed, name => Pair["sha256" => bytes2hex(sha256(text)), "bytes" => sizeof(text)])
    end
    write_synced(joinpath(partial, "result.json"), json_text(facts(r, a, listed)) * "\n")
    mv(partial, folder)
    return folder
end

"""Write a file and have it on disk, so that a rename never shows half of it."""
function write_synced(path, text)
    open(path, "w") do io
        write(io, text)
        flush(io)
        ccall(:fsync, Cint, (Cint,), fd(io)) == 0 || throw(SystemError("fsync $path"))
    end
end

function facts(r::Request, a::Answer, listed)
    solved = !isempty(a.cost)
    total = solved ? sum(a.cost) : nothing
    return Pair["format" => "lascopf-result", "version" => 1, "request_id" => r.id,
        "manifest_sha256" => r.manifest_sha256, "status" => a.status,
        "objective" => solved ? objective(a, r) : nothing, "bound" => a.bound, "total" => total,
        "solver" => SOLVER, "solver_version" => SOLVER_VERSION, "julia_version" => string(VERSION),
        "threads" => Threads.nthreads(), "seconds" => a.seconds,
        "iterations" => solved ? a.found.iterations : 0, "residuals" => residuals(r, a),
        "notes" => a.notes, "left_out" => a.left_out, "files" => listed]
end

function residuals(r::Request, a::Answer)
    isempty(a.cost) && return Pair[]
    last = a.found.history[end]
    gap = a.bound === nothing ? NaN : (sum(a.cost) - a.bound) / max(abs(sum(a.cost)), 1.0)
    # Only numbers: the joint method has no disagreement.
    return filter(pair -> isfinite(pair.second), Pair["balance_mw" => a.found.solution.primal, "relative_gap" => gap,
        "disagreement_pu" => last.disagreement, "movement_pu" => last.movement,
        "load_shed_mw" => maximum(sum(a.shed, dims=2)),
        "over_generation_mw" => maximum(sum(a.over, dims=2)),
        "branch_overload_mw" => maximum([0.0; vec(a.overload)]),
        "outage_overload_mw" => maximum([0.0; [e.mw for e in a.found.excess if e.outage > 0]]),
        "reserve_shortfall_mw" => maximum(sum(a.short, dims=2))])
end

"""Names and texts of the tables."""
function tables_of(r::Request, a::Answer)
    T, g, s, b, d = intervals(r), r.generators, r.stores, r.branches, r.dc_lines
    each(ids) = ((t, k) for t in 1:T for k in eachindex(ids))
    return Pair[
        "generators.csv" => csv_text(
            ("Interval", "GEN UID", "MW", "Reserve Up MW", "Reserve Down MW"),
            ((t, g.id[k], a.power[t, k], a.up[t, k], a.down[t, k]) for (t, k) in each(g.id))),
        "stores.csv" => csv_text(
            ("Interval", "UID", "Charge MW", "Discharge MW", "Energy MWh"),
            ((t, s.id[k], a.charge[t, k], a.discharge[t, k], a.energy[t, k]) for (t, k) in each(s.id))),
        "buses.csv" => csv_text(
            ("Interval", "Bus ID", "Angle", "Shed MW", "Over MW", "Price"),
            ((t, r.bus_id[k], a.theta[t, k], a.shed[t, k], a.over[t, k], a.price[t, k])
             for (t, k) in each(r.bus_id))),
        "branches.csv" => csv_text(
            ("Interval", "UID", "MW", "Overload MW", "Shadow Price"),
            ((t, b.id[k], a.flow[t, k], a.overload[t, k], a.shadow[t, k]) for (t, k) in each(b.id))),
        "dc_branches.csv" => csv_text(("Interval", "UID", "MW"),
            ((t, d.id[k], a.dc[t, k]) for (t, k) in each(d.id))),
        "system.csv" => csv_text(
            ("Interval", "Up Short MW", "Down Short MW", "Reserve Price", "Cost"),
            ((t, a.short[t, 1], a.short[t, 2], a.reserve_price[t], a.cost[t]) for t in 1:T)),
        "outages.csv" => csv_text(
            ("Interval", "Outage", "UID", "MW", "Excess MW", "Shadow Price"),
            ((o.interval, o.outage, o.branch, o.mw, o.excess, o.shadow) for o in a.outages)),
        "history.csv" => history_text(r, a)]
end

"""Every round; the last line is the dispatch that is reported, with its bound."""
function history_text(r::Request, a::Answer)
    constant = cost_constants(r) + sum(r.start_cost) + sum(r.store_start_cost)
    rows = [(h.iteration, h.objective + constant, h.bound + constant, h.disagreement, h.movement,
             h.violation, h.seconds) for h in a.found.history]
    bound = a.bound === nothing ? NaN : a.bound
    push!(rows, (length(rows) + 1, sum(a.cost), bound, 0.0, 0.0, 0.0, a.seconds))
    return csv_text(("Iteration", "Objective", "Bound", "Disagreement", "Movement", "Violation MW",
                     "Seconds"), rows)
end
