// SPDX-License-Identifier: Apache-2.0
// A branch per test file for Vitest, Jest (ESM) or node --test, with `pg` or any other driver:
//
//   import { branch } from './branch.mjs'
//   const b = branch('orders')            // beforeAll
//   const client = new pg.Client(b.url)
//   b.reset()                             // afterEach, when a test commits; the URL stays
//   b.remove()                            // afterAll
//
// COWFS_POOL names a pool (cowfs pool create ci --from golden): a branch of it runs already, so it is there in milliseconds.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'

const pool = process.env.COWFS_POOL
const parent = process.env.COWFS_PARENT ?? 'golden'
const database = process.env.COWFS_DATABASE ?? 'postgres'
const cowfs = (...words) => execFileSync('cowfs', ['-o', 'json', ...words], { stdio: ['ignore', 'pipe', 'inherit'] })

export function branch(name) {
  const full = `test/${name.replace(/[^A-Za-z0-9_.]/g, '-')}-${randomBytes(4).toString('hex')}`
  const start = () => cowfs('start', ...(pool ? [] : ['-c', 'fsync=off']), '--', full)
  const stop = () => cowfs('stop', '-m', 'immediate', '--', full)
  cowfs('branch', 'create', ...(pool ? [`--from-pool=${pool}`] : ['--ephemeral', `--parent=${parent}`]), '--ttl=1h', '--', full)
  start()
  return {
    name: full,
    url: JSON.parse(cowfs('url', `--dbname=${database}`, '--', full)).connection_uri,
    reset() {
      stop()
      cowfs('branch', 'reset', '--yes', '--', full)
      start()
    },
    remove() {
      stop()
      cowfs('branch', 'delete', '--yes', '--', full)
    },
  }
}
