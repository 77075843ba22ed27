# JSON, as far as the exchange needs it: the standard library of Julia has no reader.

"""One clear error about what was given: `where_` it is, the `value`, and the `remedy`."""
struct BadInput <: Exception
    where_::String
    value::String
    remedy::String
    BadInput(where_, value, remedy) = new(string(where_), repr(value), string(remedy))
end

Base.showerror(io::IO, e::BadInput) = print(io, e.where_, ": got ", e.value, "; ", e.remedy)

mutable struct JsonText
    name::String
    bytes::Vector{UInt8}
    at::Int
end

"""Parse a JSON text into `Dict`, `Vector{Any}`, `String`, `Int`, `Float64`, `Bool` and `nothing`.

Args: `text`, and `name` for errors. Throws `BadInput` with the byte at which the text breaks.
"""
function parse_json(text::AbstractString, name::AbstractString="JSON")
    p = JsonText(name, Vector{UInt8}(codeunits(text)), 1)
    isvalid(String(text)) || broken(p, "write the file as UTF-8")
    value = json_value(p)
    skip_blank!(p)
    p.at > length(p.bytes) || broken(p, "end the text after its one value")
    return value
end

function broken(p::JsonText, remedy)
    rest = String(p.bytes[min(p.at, end + 1):min(p.at + 11, end)])
    throw(BadInput("$(p.name), byte $(p.at)", rest, remedy))
end

peek_byte(p::JsonText) = p.at <= length(p.bytes) ? p.bytes[p.at] : 0x00

function skip_blank!(p::JsonText)
    while peek_byte(p) in (0x20, 0x0a, 0x0d, 0x09)
        p.at += 1
    end
end

function json_value(p::JsonText)
    skip_blank!(p)
    byte = peek_byte(p)
    byte == UInt8('{') && return json_object(p)
    byte == UInt8('[') && return json_list(p)
    byte == UInt8('"') && return json_string(p)
    for (word, value) in (("true", true), ("false", false), ("null", nothing))
        last = p.at + length(word) - 1
        if last <= length(p.bytes) && p.bytes[p.at:last] == codeunits(word)
            p.at = last + 1
            return value
        end
    end
    return json_number(p)
end

function json_object(p::JsonText)
    found = Dict{String,Any}()
    p.at += 1
    skip_blank!(p)
    peek_byte(p) == UInt8('}') && (p.at += 1; return found)
    while true
        skip_blank!(p)
        peek_byte(p) == UInt8('"') || broken(p, "write a key in double quotes")
        key = json_string(p)
        haskey(found, key) && broken(p, "give the key $key once")
        skip_blank!(p)
        peek_byte(p) == UInt8(':') || broken(p, "write a colon after the key $key")
        p.at += 1
        found[key] = json_value(p)
        next_part!(p, '}') && return found
    end
end

function json_list(p::JsonText)
    found = Any[]
    p.at += 1
    skip_blank!(p)
    peek_byte(p) == UInt8(']') && (p.at += 1; return found)
    while true
        push!(found, json_value(p))
        next_part!(p, ']') && return found
    end
end

"""Step over a comma (false) or the closing bracket (true)."""
function next_part!(p::JsonText, close::Char)
    skip_blank!(p)
    byte = peek_byte(p)
    byte in (UInt8(','), UInt8(close)) || broken(p, "write a comma or $close here")
    p.at += 1
    return byte == UInt8(close)
end

function json_number(p::JsonText)
    stop = p.at
    while stop <= length(p.bytes) && p.bytes[stop] in b"+-.0123456789eE"
        stop += 1
    end
    text = String(p.bytes[p.at:stop-1])
    plain = occursin(r"^-?(0|[1-9]\d*)$", text)
    valid = occursin(r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$", text)
    valid || broken(p, "write a JSON value here")
    p.at = stop
    whole = plain ? tryparse(Int, text) : nothing
    return whole === nothing ? parse(Float64, text) : whole
end

const ESCAPES = Dict('"' => '"', '\\' => '\\', '/' => '/', 'b' => '\b', 'f' => '\f',
                     'n' => '\n', 'r' => '\r', 't' => '\t')

function json_string(p::JsonText)
    out = IOBuffer()
    p.at += 1
    while true
        p.at <= length(p.bytes) || broken(p, "close the string")
        byte = p.bytes[p.at]
        p.at += 1
        byte == UInt8('"') && return String(take!(out))
        byte < 0x20 && broken(p, "escape control characters")
        byte == UInt8('\\') ? print(out, json_escape(p)) : write(out, byte)
    end
end

function json_escape(p::JsonText)
    letter = Char(peek_byte(p))
    p.at += 1
    letter == 'u' || return get(() -> broken(p, "use a JSON escape"), ESCAPES, letter)
    unit = hex_unit(p)
    if 0xd800 <= unit < 0xdc00 && p.bytes[p.at:min(p.at + 1, end)] == b"\\u"
        p.at += 2
        return Char(0x10000 + ((unit - 0xd800) << 10) + (hex_unit(p) - 0xdc00))
    end
    return Char(unit)
end

function hex_unit(p::JsonText)
    p.at + 3 <= length(p.bytes) || broken(p, "write four hexadecimal digits")
    unit = tryparse(UInt32, String(p.bytes[p.at:p.at+3]); base=16)
    unit === nothing && broken(p, "write four hexadecimal digits")
    p.at += 4
    return unit
end

"""JSON text of `value`; pairs in a `Vector{Pair}` keep their order, numbers that are not finite
become null."""
function json_text(value)
    out = IOBuffer()
    write_json(out, value)
    return String(take!(out))
end

write_json(io::IO, ::Nothing) = print(io, "null")
write_json(io::IO, x::Bool) = print(io, x)
write_json(io::IO, x::Integer) = print(io, x)
write_json(io::IO, x::AbstractFloat) = isfinite(x) ? print(io, x) : print(io, "null")

function write_json(io::IO, text::AbstractString)
    print(io, '"')
    for letter in text
        if letter in ('"', '\\')
            print(io, '\\', letter)
        elseif letter < ' '
            print(io, "\\u", lpad(string(UInt32(letter); base=16), 4, '0'))
        else
            print(io, letter)
        end
    end
    print(io, '"')
end

function write_json(io::IO, pairs::Vector{<:Pair})
    print(io, '{')
    for (k, (name, value)) in enumerate(pairs)
        k > 1 && print(io, ", ")
        write_json(io, string(name))
        print(io, ": ")
        write_json(io, value)
    end
    print(io, '}')
end

write_json(io::IO, found::AbstractDict) =
    write_json(io, Pair[name => found[name] for name in sort!(collect(keys(found)))])

function write_json(io::IO, list::AbstractVector)
    print(io, '[')
    for (k, value) in enumerate(list)
        k > 1 && print(io, ", ")
        write_json(io, value)
    end
    print(io, ']')
end
