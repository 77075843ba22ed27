# CSV tables: columns by name, every cell a text until it is asked for as something else.

"""Rows of one CSV file; `name` stands in errors."""
struct Table
    name::String
    columns::Dict{String,Int}
    rows::Vector{Vector{String}}
end

Base.length(t::Table) = length(t.rows)
has_column(t::Table, column) = haskey(t.columns, column)

"""Read a CSV file with a header. Throws `BadInput` where it is missing or a row is ragged."""
function read_table(path::AbstractString)
    name = basename(dirname(path)) in ("series", "commitment") ?
        joinpath(basename(dirname(path)), basename(path)) : basename(path)
    isfile(path) || throw(BadInput(name, "no such file", "put the file into the request"))
    text = read(path, String)
    isvalid(text) || throw(BadInput(name, "bytes that are no UTF-8", "write the file as UTF-8"))
    records = split_records(text, name)
    isempty(records) && throw(BadInput(name, "", "begin the file with a header"))
    header = records[1]
    allunique(header) || throw(BadInput("$name, header", header, "name each column once"))
    for (k, row) in enumerate(records)
        length(row) == length(header) ||
            throw(BadInput("$name, line $k", length(row), "give $(length(header)) fields"))
    end
    return Table(name, Dict(c => k for (k, c) in enumerate(header)), records[2:end])
end

"""Fields of every record; quotes hold commas, line ends and doubled quotes."""
function split_records(text::AbstractString, name::AbstractString)
    records, row, field = Vector{String}[], String[], IOBuffer()
    quoted, k, last = false, firstindex(text), lastindex(text)
    while k <= last
        letter, after = text[k], nextind(text, k)
        if quoted
            if letter != '"'
                print(field, letter)
            elseif after <= last && text[after] == '"'
                print(field, '"')
                after = nextind(text, after)
            else
                quoted = false
            end
        elseif letter == '"'
            quoted = true
        elseif letter == ','
            push!(row, String(take!(field)))
        elseif letter == '\n'
            push!(row, String(take!(field)))
            push!(records, row)
            row = String[]
        elseif letter != '\r'
            print(field, letter)
        end
        k = after
    end
    quoted && throw(BadInput("$name, last line", "an open quote", "close the quote"))
    rest = String(take!(field))
    isempty(row) && isempty(rest) || push!(records, push!(row, rest))
    return records
end

function cell(t::Table, row::Int, column::AbstractString)
    k = get(t.columns, column, 0)
    k > 0 || throw(BadInput("$(t.name), header", column, "add the column $column"))
    return t.rows[row][k]
end

place(t::Table, row::Int, column) = "$(t.name), row $row, $column"

texts(t::Table, column) = String[cell(t, k, column) for k in 1:length(t)]

"""A column of numbers; `na` stands for `NA`, and without it `NA` is refused."""
function numbers(t::Table, column::AbstractString; na::Union{Nothing,Float64}=nothing)
    found = Vector{Float64}(undef, length(t))
    for k in 1:length(t)
        text = cell(t, k, column)
        value = text == "NA" ? na : tryparse(Float64, text)
        (value === nothing || (text != "NA" && !isfinite(value))) &&
            throw(BadInput(place(t, k, column), text, "give a finite number"))
        found[k] = value
    end
    return found
end

"""A column of numbers, or `standard` in every row where the file has no such column."""
optional(t::Table, column, standard::Float64) =
    has_column(t, column) ? numbers(t, column; na=standard) : fill(standard, length(t))

function flags(t::Table, column::AbstractString)
    found = BitVector(undef, length(t))
    for k in 1:length(t)
        text = cell(t, k, column)
        text in ("0", "1") || throw(BadInput(place(t, k, column), text, "give 0 or 1"))
        found[k] = text == "1"
    end
    return found
end

"""Rows of `ids` (a column of another table) that a column names."""
function references(t::Table, column::AbstractString, index::Dict{String,Int}, what)
    found = Vector{Int}(undef, length(t))
    for k in 1:length(t)
        text = cell(t, k, column)
        found[k] = get(index, text, 0)
        found[k] > 0 || throw(BadInput(place(t, k, column), text, "name a row of $what"))
    end
    return found
end

"""Row of each id; ids are unique and not empty."""
function index_of(t::Table, column::AbstractString)
    found = Dict{String,Int}()
    for (k, id) in enumerate(texts(t, column))
        (isempty(id) || haskey(found, id)) &&
            throw(BadInput(place(t, k, column), id, "give each row an id of its own"))
        found[id] = k
    end
    return found
end

quoted_field(text::AbstractString) =
    any(c -> c in (',', '"', '\n', '\r'), text) ? "\"" * replace(text, "\"" => "\"\"") * "\"" : text
field_text(x::AbstractString) = quoted_field(x)
field_text(x::Integer) = string(x)
# -0.0 and 0.0 are one value, and one text.
field_text(x::AbstractFloat) = isfinite(x) ? string(x + 0.0) : "NA"

"""CSV text of a header and rows (tuples)."""
function csv_text(header, rows)
    out = IOBuffer()
    println(out, join(map(quoted_field, header), ','))
    for row in rows
        println(out, join(map(field_text, row), ','))
    end
    return String(take!(out))
end
