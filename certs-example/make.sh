#!/bin/sh
# Makes an example PKI for two agencies, politie and kmar: sh make.sh OVERLAP DIRECTORY
# OVERLAP is the `overlap` binary, DIRECTORY a directory to make. Nothing that exists is overwritten.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 OVERLAP DIRECTORY" >&2
    exit 2
fi
overlap=$1
out=$2

# the federation vouches for nodes
"$overlap" pki ca --dir "$out/federation" --name "Overlap example federation"

for agency in politie kmar; do
    "$overlap" pki node --ca "$out/federation" --uri "spiffe://overlap.example/agency/$agency" \
        --host "node.$agency.example" --host localhost --host 127.0.0.1 --out "$out/$agency" --name node

    # the agency vouches for its own people and for the port they use
    "$overlap" pki ca --dir "$out/$agency/users" --name "Overlap example users of $agency"
    "$overlap" pki node --ca "$out/$agency/users" --uri "spiffe://$agency.example/operator" \
        --host "node.$agency.example" --host localhost --host 127.0.0.1 --out "$out/$agency" --name operator
    for login in analyst operator coordinator functionary auditor; do
        "$overlap" pki user --ca "$out/$agency/users" --uri "spiffe://$agency.example/user/$login" \
            --out "$out/$agency/people" --name "$login"
    done

    "$overlap" pki data-key "$out/$agency/data.key"
    "$overlap" pki signing-key "$out/$agency/signing.key"

    # what docs/examples/node.toml names: put it beside these as node.toml
    mkdir -p "$out/$agency/federation"
    cp "$out/federation/ca.pem" "$out/federation/ca.crl" "$out/$agency/federation/"
done
