#!/bin/sh
# Prints a C file that holds each FILE, for NAME.json as
#
#   const unsigned char ao_prices_NAME_json[];   (followed by a zero byte that the length does not count)
#   const size_t ao_prices_NAME_json_len;
#
# usage: scripts/embed.sh FILE.json...
set -eu

printf '#include <stddef.h>\n'
for file in "$@"; do
    name=ao_prices_$(basename "$file" .json)_json
    length=$(wc -c <"$file")
    printf '\nextern const unsigned char %s[];\nextern const size_t %s_len;\n' "$name" "$name"
    printf 'const size_t %s_len = %d;\nconst unsigned char %s[] = {\n' "$name" "$length" "$name"
    od -An -v -tx1 "$file" | sed -e 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
    printf '0x00};\n'
done
