/**
 * `verify.sh` of a bundle: checks it with stock tools alone, so that nobody has to believe Everlog. At most 120 lines, so that an
 * auditor reads it before running it. It speaks the words of `everlog verify` and shares nothing else with it.
 */
export const VERIFY_SCRIPT = String.raw`#!/usr/bin/env bash
# Checks this bundle offline: bash verify.sh [SHA-256 OF THE KEY YOU TRUST]. Exit 0: sound, 4: findings, 1: could not check.
# Needs bash 4.4, openssl 3, jq 1.6, gzip, sed, awk and coreutils. VERIFY.md says what this proves and what it does not.
set -u; shopt -s nullglob globstar dotglob; export LC_ALL=C CDPATH=; umask 077
for tool in openssl jq gzip sha256sum base64 sed awk; do command -v "$tool" >/dev/null || { echo "verify.sh needs $tool"; exit 1; }; done
cd "$(dirname "$0")" && tmp=$(mktemp -d) || exit 1; trap '[ $? != 1 ] || echo "verify.sh broke off"; rm -rf "$tmp"' EXIT
exec 2>"$tmp/noise"; findings=0 tab=$(printf '\t') hex='\A[0-9a-f]{64}\z' stream='' last='' last_sum='' ended='' closed='' roots='' leaves=0 whole=''; for list in links named rows removed bad; do : >"$tmp/$list"; done
pin=$(printf %s "$*" | tr A-F a-f | tr -d ' :'); [ -z "$pin" ] || [[ $pin =~ ^[0-9a-f]{64}$ ]] || { echo 'give the key as 64 hex digits'; exit 1; }; given=$pin
# What files say is text of whoever wrote them: no column of a table is empty or breaks its line, and only digits are calculated with.
table='def table: map(if type == "number" then floor elif type == "boolean" or (type == "string" and length > 0) then . else "-" end) | @tsv; '
its_log='.log | [.key, .stored_sha256, .stored_bytes] | table'; digits() { for word; do [[ $word =~ ^(0|[1-9][0-9]{0,14})$ ]] || return; done; }
found() { findings=$((findings + 1)); printf '%s %s: %s\n' "$1" "$2" "$3" | tr -c '[:print:]\n' '?'; }
sha() { sha256sum | cut -c 1-64; }; escaped() { sha256sum | sed 's/ .*//; s/../\\x&/g'; } # the second as printf takes it
signed() { openssl pkeyutl -verify -pubin -inkey "$tmp/$1.pem" -rawin -in "$2" -sigfile "$3" >"$tmp/said"; } # key, message, signature
climb() { # index, leaves, leaf, path…: sets hash to the root that they lead to (RFC 9162, 2.1.3.2)
  digits "$1" "$2" || return; local n=$1 m=$(($2 - 1)); hash=$3; shift 3; [ "$n" -le "$m" ] || return
  for step; do [ "$m" -gt 0 ] || return
    if [ $((n & 1)) = 0 ] && [ "$n" != "$m" ]; then hash=$(printf "\\x01$hash$step" | escaped)
    else hash=$(printf "\\x01$step$hash" | escaped); until [ $((n & 1)) = 1 ] || [ "$n" = 0 ]; do n=$((n >> 1)) m=$((m >> 1)); done; fi
    n=$((n >> 1)) m=$((m >> 1)); done; [ "$m" = 0 ]; }
grow() { # one more leaf; roots are those of the complete subtrees so far, newest first (RFC 6962)
  local node=$1 n=$leaves; set -f; set -- $roots; while [ $((n & 1)) = 1 ]; do node=$(printf "\\x01$1$node" | escaped); shift; n=$((n >> 1)); done
  roots="$node $*" leaves=$((leaves + 1)) hash=$node; for node; do hash=$(printf "\\x01$node$hash" | escaped); done; set +f; whole=$(printf %s "$hash" | tr -d '\\x'); }
check_note() { # is it on this digest, and signed by a believed key?
  { read -r origin; read -r size; read -r _; read -r empty; read -r dash name signature; } <"$note"; head -n 3 "$note" >"$tmp/text"
  printf %s "$signature" | base64 -d >"$tmp/blob" && tail -c +5 "$tmp/blob" >"$tmp/signature"
  [ "$origin $size $empty$dash $name $(wc -l <"$note")" = "$stream $n — $stream 5" ] && while read -r id _; do
    signed "$id" "$tmp/text" "$tmp/signature" || continue; short=$({ printf '%s\n\001' "$name"; openssl pkey -pubin -in "$tmp/$id.pem" -outform DER | tail -c 32; } | sha | cut -c 1-8)
    [ "$(head -c 4 "$tmp/blob" | od -An -tx1 | tr -d ' ')" = "$short" ] && { [ "$leaves" != "$n" ] || [ "$(sed -n 3p "$note" | base64 -d | od -An -v -tx1 | tr -d ' \n')" = "$whole" ]; }
    return; done <"$tmp/believed"; false; }
for file in ledger/keys/*.json; do jq -j '.public_key // ""' "$file" | openssl pkey -pubin -out "$tmp/$(basename "$file" .json).pem"; done
for file in ledger/keys/*.json; do id=$(basename "$file" .json) good='' # which signatures over keys and revocations hold
  jq -j '[.schema, .key_id] + if .schema == "everlog.key/v1" then [.not_before, .previous_key_id // ""] else [.revoked_at, .reason] end | map("\(.)\n") | add' "$file" >"$tmp/text"
  while read -r what of by at before signature; do
    printf %s "$signature" | base64 -d >"$tmp/signature" && signed "$by" "$tmp/text" "$tmp/signature" || continue
    [ "$what $of" = "everlog.key-revocation/v1 $(basename "$id" .revoked)" ] && good=1 && echo "revoked $of $by $at"
    [ "$what $of" = "everlog.key/v1 $id" ] && echo "key $of $by $at $before" && [ "$by" = "$id" ] &&
      [ "$(jq -rs '.[].algorithm' "$file") $(openssl pkey -pubin -in "$tmp/$id.pem" -outform DER | sha)" = "Ed25519 $id" ] && good=1
  done < <(jq -r --arg hex "$hex" '. as $it | ($it | if .schema == "everlog.key/v1" then .not_before else .revoked_at end) as $at | (.previous_key_id // "-") as $before |
    (.signatures // [.signature])[] | select(($it.schema | IN("everlog.key/v1", "everlog.key-revocation/v1")) and ([$it.key_id, .key_id, ($before | select(. != "-"))] | all(.[]; test($hex))) and
    ($at | test("\\A[0-9TZ:.-]+\\z")) and (.signature | test("\\A[A-Za-z0-9+/=]+\\z"))) | "\($it.schema) \($it.key_id) \(.key_id) \($at) \($before) \(.signature)"' "$file") >>"$tmp/links"
  [ -n "$good" ] || { found MODIFIED "$file" 'it is not signed, or not what it is named for'; printf '%s\n' "$id" >>"$tmp/bad"; }; done; while IFS= read -r id; do rm -f "$tmp/$id.pem"; done <"$tmp/bad" # only now: what keys signed does not hang on the order of their names
for file in ledger/digests/*/digest.json; do [ -n "$pin" ] || { pin=$(jq -r .key_id "$file" | tr -cd 0-9a-f); echo "UNPINNED $pin: compare it with one from elsewhere"; }; done
for digest in ledger/digests/*/digest.json; do jq -r --arg hex "$hex" 'select((.key_id | test($hex)) and (.created_at | test("\\A[0-9TZ:.-]+\\z"))) | "digest \(.key_id) \(.created_at)"' "$digest"
  jq -r '.key | select(test("\\Aledger/keys/[0-9a-f]{64}[.]json\\z")) | "sealed \(.[12:76])"' "entries/$(basename "$(dirname "$digest")").ndjson"; done >>"$tmp/links"
awk -v pin="$pin" 'function line(k, id, n) { for (n = 0; (k in before) && n < 10000; n++) { if (k == id) return 1; k = before[k] }; return 0 }
  function sealed(id, at) { for (i = 1; i <= seals; i++) if (what[i] == id && when[i] < at && !line(by[i], id)) return 1; return 0 }
  function counts(id, old, one) { # of a revoked key: a successor of the line that revoked it, or sealed before, or the first where it revoked itself
    if (!(old in dead) || (who[old] != old && line(who[old], id)) || sealed(id, dead[old])) return 1
    if (who[old] != old || since[id] >= dead[old] || ((old in heir) && heir[old] != id)) return 0
    for (one in before) if (before[one] == old && sealed(one, dead[old])) return 0; return 1 }
  $1 == "key" { valid[$2, $3]; since[$2] = $4; before[$2] = $5 } $1 == "revoked" { revocation[$2, $3] = $4 }
  $1 == "digest" { signer[++n] = $2; if ($3 > now) now = $3 } $1 == "sealed" { what[++seals] = $2; when[seals] = now; by[seals] = signer[n] }
  END { for (i = 1; i <= n; i++) for (k = signer[i]; (k in before) && !((before[k], i) in heir); k = before[k]) { heir[before[k], i]; if (!(before[k] in heir)) heir[before[k]] = k }
    for (round = 0; round < 3; round++) { split("", believed); believed[pin] # then without what the revocations take away
      for (more = 1; more;) { more = 0; for (id in before) { old = before[id]; if (!(id in believed) && (old in believed) && ((id, old) in valid) && counts(id, old)) more = believed[id] = 1
        if ((id in believed) && ((id, id) in valid) && old != "-" && !(old in believed)) more = believed[old] = 1 } }
      split("", dead); split("", who); split("", planted); for (pair in revocation) { split(pair, of, SUBSEP)
        if ((of[2] in believed) && line(of[2], of[1])) { dead[of[1]] = revocation[pair]; who[of[1]] = of[2] } else planted[of[1]] } }
    for (id in believed) print id, (id in dead) ? dead[id] : (id in planted) ? "planted" : "~" }' "$tmp/links" >"$tmp/believed"
while read -r id state; do case $state in planted) found BAD_SIGNATURE "ledger/keys/$id.revoked.json" 'nobody entitled signed it' ;;
  [0-9]*) [ "$id" != "$given" ] || found REVOKED_KEY "ledger/keys/$id.json" "the key that you trust was revoked at $state" ;; esac; done <"$tmp/believed"
for folder in ledger/digests/*/; do seq=$(basename "$folder") digest=$folder'digest.json'
  lines=entries/$seq.ndjson paths=entries/$seq.paths.ndjson note=ledger/checkpoints/$seq.note sum=$(sha <"$digest")
  IFS=$tab read -r n key at name count top before before_sum from to final < <(jq -r "$table"'[.sequence, .key_id, .created_at, .stream, .entries.count,
    .entries.merkle_root, .previous.sequence // 0, .previous.sha256, .window_start, .window_end, .final] | table' "$digest")
  dead=$(awk -v key="$key" '$1 == key { print $2 }' "$tmp/believed") top=$(printf %s "$top" | sed 's/../\\x&/g'); [ -n "$stream" ] || stream=$name
  if [ ! -f "$digest" ]; then found MISSING "$digest" 'the digest is not here'
  elif [ -z "$dead" ] || [ ! -s "$tmp/$key.pem" ]; then found UNKNOWN_KEY "$digest" "nobody who is believed vouches for key $key"
  elif ! signed "$key" "$digest" "$folder$sum.sig"; then found BAD_SIGNATURE "$digest" 'these bytes have no valid signature'
  elif [[ ! $at < $dead ]]; then found REVOKED_KEY "$digest" "made at $at by a key that was revoked at $dead"
  elif [ "$(printf %010d "$n") $name" != "$seq $stream" ] || { [ "$before" = "$last" ] && [ "$before_sum" != "$last_sum" ]; }; then
    found FORKED "$digest" 'it is of another place or ledger, or does not follow the one before it'
  elif [ "$before" = "$last" ] && [ "$closed" = true ]; then found FORKED "$digest" 'the digest before it had closed the ledger'
  elif [ "$before" = "$last" ] && [ "$from" != "$ended" ]; then found GAP "$digest" 'its window does not begin where the one before it ends'; fi
  last=$n last_sum=$sum ended=$to closed=$final; [ "$seq" != "$(printf %010d $((leaves + 1)))" ] || grow "$({ printf '\0'; head -c 4097 "$digest"; } | escaped)"
  [ ! -e "$note" ] || check_note || found MODIFIED "$note" 'it is no note on this digest by a believed key'
  [ -e "$lines" ] || [ -e "$paths" ] || continue # nothing of this digest was selected
  jq -r "$table"'[.type, .key, .sha256, .log.key, .log.sha256, .log.bytes] | table' "$lines" | tee -a "$tmp/named" >"$tmp/fields"
  jq -r --arg hex "$hex" 'select(all(.leaf, .path[]; test($hex)) and .index == (.index | floor)) | "\(.index) \([.leaf, .path[]] | join(" "))"' "$paths" |
    awk '{ for (i = 2; i <= NF; i++) gsub(/../, "\\x&", $i); print }' >"$tmp/paths"
  [ -s "$lines" ] && [ "$(for file in "$lines" "$tmp/fields" "$tmp/paths"; do wc -l <"$file"; done | sort -u | wc -l)" = 1 ] &&
    [ "$(tr -d '\000' <"$lines" | wc -c) $(tail -c 1 "$lines" | wc -l)" = "$(wc -c <"$lines") 1" ] || found MODIFIED "$lines" 'lines and paths do not fit'
  set -f; while IFS= read -r line <&3 && read -r index leaf path <&4 && IFS= read -r fields <&5; do
    [ "$(printf '\0%s' "$line" | escaped)" = "$leaf" ] && climb "$index" "$count" "$leaf" $path && [ "$hash" = "$top" ] &&
      printf '%s\n' "$fields" >>"$tmp/rows" || found MODIFIED "$lines" "digest $seq does not hold what is given as its line $index"
  done 3<"$lines" 4<"$tmp/paths" 5<"$tmp/fields"; set +f; done
awk -F '\t' '{ print $3 "  " $2; if ($4 != "-") print $5 "  " $4 }' "$tmp/rows" | sort -u >"$tmp/sums"
custody='def said: type == "string" and length > 0; def because: type == "string" and test("\\S"); length == 1 and (.[0] |
  .schema == "everlog.custody/v1" and (.id | said) and (.action | said) and (.at | type == "string" and test("^\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z$"))
  and $key == "v1/custody/dt=\(.at[:10])/\(.id).json" and ([.who.name, .who.known_by, .archiver.name, .archiver.version] | all(.[]; said))
  and (.who.authenticated | type == "boolean") and ([has("reason", "case")] | all) and ([.reason, .case] | all(.[]; . == null or type == "string"))
  and (.scope | type == "object" and all(.[]; type == "string")) and (.result | type == "object" and all(.[]; type != "object" and type != "array"))
  and (.objects | type == "array" and all(.[]; (.key | said) and has("version_id") and (.sha256 | . == null or test($hex))))
  and (.action != "purge" or (.reason | because)) and (.action != "expiry" or (.reason | because) or (.scope | length > 0)))'
while IFS=$tab read -r type key sum _; do [ "$type" = custody ] && [ -f "$key" ] && [ "$(sha <"$key")" = "$sum" ] || continue # who removed what
  jq -es --arg key "$key" --arg hex "$hex" "$custody" "$key" >"$tmp/said" || { found MODIFIED "$key" 'it does not say by whom, why, what of or by which program'; continue; }
  jq -r '{purge: "ERASED", expiry: "EXPIRED"}[.action] as $word | select($word) | .objects[] | ["\(.sha256)  \(.key)", $word] | @tsv' "$key" >>"$tmp/removed"; done <"$tmp/rows"
while read -r sum key; do [ -e "$key" ] || echo "$sum  $key"; done <"$tmp/sums" >"$tmp/absent" # the first custody object that names it counts
awk -F '\t' 'NR == FNR { absent[$1]; next } ($1 in absent) && !($1 in told) { told[$1]; print }' "$tmp/absent" "$tmp/removed" | sort >"$tmp/told"
cut -f 1 "$tmp/told" >"$tmp/gone"; awk -F '\t' '{ print $2 " " substr($1, 67) ": a sealed custody object says who removed it and why" }' "$tmp/told" | tr -c '[:print:]\n' '?'
while read -r sum key; do if [ ! -e "$key" ]; then found MISSING "$key" 'it was sealed, and is gone'; elif [ "$(sha <"$key")" != "$sum" ]; then found MODIFIED "$key" 'it is not what was sealed'; fi; done < <(comm -23 "$tmp/sums" "$tmp/gone")
record='length == 1 and (.[0] | .schema == "everlog.job/v1" and (.revision | type == "number" and . >= 1) and any("v1/records/host=\(.host)/owner=\(.owner | ascii_downcase)/repo=\(.repo | ascii_downcase)/" +
  "\(.run_id)/\(.run_attempt // 1)/\(.job_id)\((.revision, (select(.details_source == "list" and .job_sha256 == null) | .revision + 1)) | if . == 1 then "" else ".r\(.)" end).json"; . == $key) and (.log == null or .log.encoding == "gzip"))'
run='length == 1 and (.[0] | .schema == "everlog.run/v1" and ([.expected, .archived, .absent] | all(.[]; type == "array")) and (.complete | type == "boolean"))'
while IFS=$tab read -r type key _ log sum bytes; do [ -f "$key" ] || continue
  if [ "$type" = run ]; then jq -es "$run" "$key" >"$tmp/said" || found MODIFIED "$key" 'it is no object of a run'; fi; [ "$type" = record ] || continue
  jq -es --arg key "$key" "$record" "$key" >"$tmp/said" || found MODIFIED "$key" 'it is no record, or one of another job or revision than its key'
  said=$(jq -r "$table$its_log" "$key"); IFS=$tab read -r whole size lines number < <(jq -r "$table"'[(.log | .sha256, .bytes, .lines), .revision] | table' "$key")
  digits "$number" && if [[ $key = *.r$((number + 1)).json ]]; then before=$(printf %s "$key" | sed "s/[.]r[0-9]*[.]json$/.r$number.json/; s/[.]r1[.]json$/.json/")
    echo "NOT_CHECKED $key: its number, which version 0.1 took from the revision before it, and sealed its log with that one" | tr -c '[:print:]\n' '?'
    [ "$log" != - ] || [ "$said" != "$(jq -r "$table$its_log" "$before")" ] || continue; fi
  [ "$said" = "$log$tab$sum$tab$bytes" ] || found MODIFIED "$key" 'it tells of another log than the ledger'
  [ -f "$log" ] || continue; digits "$size" || size=0; gzip -dc <"$log" | head -c "$((size + 1))" >"$tmp/log"
  [ "$(sha <"$tmp/log") $(wc -c <"$tmp/log") $(($(wc -l <"$tmp/log") + ($(tail -c 1 "$tmp/log" | wc -c) - $(tail -c 1 "$tmp/log" | wc -l))))" = "$whole $size $lines" ] ||
    found MODIFIED "$log" 'it does not unpack to what its record says'; done <"$tmp/rows"
for file in v1/**/*; do if [ -L "$file" ]; then echo "$file (a link)"; elif [ ! -d "$file" ]; then printf '%s\n' "$file"; fi; done | sort -u >"$tmp/files"
while IFS= read -r file; do found UNSEALED "$file" 'nothing here vouches for it'; done < <(awk -F '\t' '{ print $2; print $4 }' "$tmp/named" | sort -u | comm -23 "$tmp/files" -)
[ -n "$last" ] || found MISSING ledger/digests 'there is no digest'; [ -n "$(awk -F '\t' '$1 != "key" && $1 != "revocation"' "$tmp/named")" ] || found MISSING entries/ 'no entry of any record is here, so that nothing is proven'; [ "$findings" = 0 ] || { echo "$findings findings"; exit 4; }
echo "sound: $(wc -l <"$tmp/rows") entries, $(wc -l <"$tmp/sums") objects, ERASED $(awk -F '\t' '$2 == "ERASED"' "$tmp/told" | wc -l), EXPIRED $(awk -F '\t' '$2 == "EXPIRED"' "$tmp/told" | wc -l); newest digest here: $last"
`;
