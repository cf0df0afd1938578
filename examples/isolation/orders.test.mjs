// SPDX-License-Identifier: Apache-2.0
// Run by node --test; with Vitest or Jest only the first import differs. psql stands in for a driver.
import { after, test } from 'node:test'
import assert from 'node:assert'
import { execFileSync } from 'node:child_process'
import { branch } from './branch.mjs'

const b = branch('orders')
const sql = (text) => execFileSync('psql', ['-XqAtc', text, b.url], { encoding: 'utf8' }).trim()
after(() => b.remove())

test('a test may commit what it likes', () => {
  const before = b.url
  assert.notEqual(sql('select count(*) from orders'), '0')
  sql('truncate orders')
  assert.equal(sql('select count(*) from orders'), '0')
  b.reset()
  assert.equal(b.url, before)
})

test('the next one sees nothing of it', () => {
  assert.notEqual(sql('select count(*) from orders'), '0')
})
