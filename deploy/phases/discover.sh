#!/usr/bin/env bash
# What is there: the cluster, its GPU nodes, which of their GPUs are free, and what all that costs per hour.

source "$(dirname "$0")/_lib.sh"
check_settings
need_tools kubectl "$NIMBLE_WATCH"
need_cluster
where_we_are
say "version    ${server_version:-unknown}"
survey

if [ "$nodes_known" = no ]; then
    warn "you have no right to list nodes, so neither GPUs nor prices can be said; what follows works without"
    say "right      kubectl auth can-i list nodes"
    exit 0
fi
all=$(wc -l <"$scratch/nodes" | tr -d ' ')
gpu_nodes=$(wc -l <"$scratch/gpus" | tr -d ' ')
say "nodes      $all, $gpu_nodes of them with $GPU"
if [ "$gpu_nodes" = 0 ]; then
    warn "no node offers $GPU now: the pool may be empty, or the NVIDIA device plugin is not running"
    exit 0
fi
say
awk -F '\t' 'BEGIN { printf "%-16s %-20s %5s %5s  %-10s %s\n", "NODE", "SHAPE", "GPUS", "FREE", "STATE", "USD/H" }
    { printf "%-16s %-20s %5s %5s  %-10s %s\n", $1, $2, $3, $4, ($6 == "cordoned" ? $6 : $5), $7 }' "$scratch/gpus"
say
awk -F '\t' '$7 == "unpriced" { gaps++; next } { sum += $7 } END {
    printf "GPU nodes  %s%.2f USD per hour\n", (gaps ? "at least " : ""), sum }' "$scratch/gpus"
cut -f 2,7 "$scratch/gpus" | sort -u | while IFS=$'\t' read -r shape price; do
    if [ "$price" = unpriced ]; then say "unpriced   $shape: $(why_unpriced "$shape")"; fi
done
if [ "$holders_known" = no ]; then
    say "free       unknown: you have no right to list pods in all namespaces"
fi
awk -F '\t' '{ printf "held       %s GPU(s) of %s by %s\n", $4, $1, $2 }' "$scratch/holders"
choose_shape
if [ -n "$(fitting_shape free)" ]; then
    say "fits       $GPU_COUNT GPU(s) on $chosen_shape: $(price_of "$chosen_shape") USD per hour and node"
else
    say "fits       no node has $GPU_COUNT free GPU(s)${GPU_SHAPE:+ of $GPU_SHAPE} now"
fi
