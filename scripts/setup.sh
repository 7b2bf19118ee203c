#!/bin/sh
# Installs what a start needs, and no more: `npm start` in a fresh clone gets neither what tests nor what builds need, but
# for the page's own. Where everything is installed, as `npm test` does it, it stays so and is brought up to date.
set -eu
cd "$(dirname "$0")/.."

# The lockfile that was installed: pnpm's own note of all of it, and ours of the part that a start needs.
all=node_modules/.pnpm/lock.yaml
part=node_modules/.start.lock.yaml

if cmp -s pnpm-lock.yaml "$all" || cmp -s pnpm-lock.yaml "$part"; then exit 0; fi
if [ -e "$all" ] && [ ! -e "$part" ]; then exec npm run --silent setup; fi

npm run --silent pnpm -- install --frozen-lockfile --prefer-offline --prod \
  --filter nimbus-workspace --filter @nimbus/server... --filter @nimbus/page...
cp pnpm-lock.yaml "$part"
npm run --silent page
