// Runs the public suite http-cache-tests against proxyd. scripts/conformance is its doorway.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const HELP = `scripts/conformance: proxyd's cache against the public suite http-cache-tests

  scripts/conformance                 install the suite from npm if need be, build proxyd, run it all
  scripts/conformance --test ID       one test, with the heads of every message of it
  scripts/conformance --suite FOLDER  a checkout of the suite's repository (http-tests/cache-tests on
                                      GitHub) instead of the npm release, which counts 157 required
                                      and 86 optimal tests; in July 2026 it counted 160 and 105
                                      (npm install in it first)
  scripts/conformance --proxyd FILE   this program instead of a release build

Origin, proxyd and client talk over free ports of 127.0.0.1; it takes about a minute and a half.
A test passes if it and those that it depends on do, as the suite's own pages count.

required   what RFC 9111 demands of a cache that stores
optimal    what a good cache does beside
check      what is neither right nor wrong; only counted

Failures of the first two kinds are held against conformance/known_failures.txt, which gives a
reason for each.

The npm release is kept in $XDG_CACHE_HOME/wirelab (or ~/.cache/wirelab).

Exit status: 0 all as listed; 1 a test failed that is not listed, or passed that is, or could not
be run; 2 wrong usage.
`

const RELEASE = 'http-cache-tests@0.4.5'
const LISTEN_DEADLINE_MS = 10_000
/** All tests together; each waits a few seconds at most. */
const SUITE_DEADLINE_MS = 600_000
const KINDS = ['required', 'optimal', 'check']
/** The kinds of which a failure wants a reason. */
const LISTED = ['required', 'optimal']

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const children = []

/** A mistake of the caller's, told in one line. */
class Usage extends Error {}

async function main () {
  const options = readOptions()
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const suite = options.suite ? checkout(resolve(options.suite)) : release()
  const tests = (await import(pathToFileURL(join(suite.folder, 'tests/index.mjs')))).default
  if (options.test && !find(tests, options.test)) {
    throw new Usage(`the suite has no test '${options.test}'`)
  }
  const proxyd = options.proxyd ? resolve(options.proxyd) : build()

  const scratch = mkdtempSync(join(tmpdir(), 'wirelab-conformance-'))
  try {
    const origin = await startOrigin(suite, scratch)
    const proxy = await startProxy(proxyd, origin)
    if (options.test) {
      process.stdout.write(await runClient(suite, proxy, options.test))
      return 0
    }
    const results = JSON.parse(await runClient(suite, proxy, ''))
    return report(suite, judge(tests, results))
  } finally {
    for (const child of children) child.kill()
    rmSync(scratch, { recursive: true, force: true })
  }
}

function readOptions () {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', short: 'h' },
        test: { type: 'string' },
        suite: { type: 'string' },
        proxyd: { type: 'string' }
      }
    }).values
  } catch (error) {
    throw new Usage(error.message.split('\n')[0])
  }
}

// --- the suite ----------------------------------------------------------------------------------

/** The npm release, installed where no repository sees it. */
function release () {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const prefix = join(caches, 'wirelab', RELEASE)
  const folder = join(prefix, 'node_modules/http-cache-tests')
  if (!existsSync(join(folder, 'cli.mjs'))) {
    console.error(`conformance: installing ${RELEASE} in ${prefix}`)
    mkdirSync(prefix, { recursive: true })
    const args = ['install', '--prefix', prefix, '--no-fund', '--no-audit', '--loglevel=error', RELEASE]
    run('npm', args, 'npm could not install the suite')
  }
  return { name: `${RELEASE} (npm)`, column: 'npm', folder, engine: folder }
}

function checkout (folder) {
  const engine = join(folder, 'test-engine')
  if (!existsSync(join(engine, 'cli.mjs'))) {
    throw new Usage(`${folder} is no checkout of github.com/http-tests/cache-tests`)
  }
  return { name: folder, column: 'repository', folder, engine }
}

function find (groups, id) {
  return groups.flatMap(group => group.tests).find(test => test.id === id)
}

/** What became of each test that a proxy can pass. */
function judge (groups, results) {
  const passes = id => {
    const test = find(groups, id)
    return results[id] === true && (test?.depends_on ?? []).every(passes)
  }
  return groups
    .flatMap(group => group.tests)
    .filter(test => !test.browser_only)
    .map(({ id, kind = 'required' }) => {
      const result = results[id]
      const failed = result === undefined ? 'not run' : result[1]
      return { id, kind, passed: passes(id), why: result === true ? 'what it depends on fails' : failed }
    })
}

// --- the programs -------------------------------------------------------------------------------

function build () {
  run('cargo', ['build', '--release', '--locked', '-p', 'proxyd'], 'proxyd could not be built')
  const target = process.env.CARGO_TARGET_DIR
  return join(target ? resolve(target) : join(root, 'target'), 'release/proxyd')
}

function run (command, args, failure) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Error(done.error ? `${failure}: ${done.error.message}` : failure)
}

function start (command, args, settings) {
  const child = spawn(command, args, settings)
  children.push(child)
  return child
}

/** The first line of `stream` that `pattern` matches, taken apart. The rest of it is read and dropped. */
function heard (child, stream, pattern, name) {
  return new Promise((resolve, reject) => {
    const said = []
    const fail = why => reject(new Error(`${name} ${why}\n${said.join('\n')}`))
    const late = setTimeout(() => fail('did not say that it listens'), LISTEN_DEADLINE_MS)
    child.on('error', error => fail(`cannot be started: ${error.message}`))
    child.on('exit', () => fail('ended'))
    createInterface({ input: stream }).on('line', line => {
      if (said.length < 20) said.push(line)
      const found = line.match(pattern)
      if (found) {
        clearTimeout(late)
        resolve(found)
      }
    })
  })
}

/** The suite's origin. Returns its address. */
async function startOrigin (suite, scratch) {
  const child = start(process.execPath, [
    '--no-warnings', '--import', pathToFileURL(join(here, 'loopback.mjs')).href,
    join(suite.engine, 'server/server.mjs')
  ], {
    cwd: scratch,
    env: { ...process.env, npm_config_protocol: 'http', npm_config_port: '0', npm_config_pidfile: join(scratch, 'pid') },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [, address] = await heard(child, child.stdout, /^Listening on http:\/\/(127\.0\.0\.1:\d+)/, 'the origin')
  return address
}

/** proxyd before `origin`. Returns its address. */
async function startProxy (file, origin) {
  const child = start(file, [
    '--origin', `http://${origin}`, '--port', '0', '--udp-port', '0', '--admin', 'off', '--log-format', 'off'
  ], { stdio: ['ignore', 'ignore', 'pipe'] })
  const [, address] = await heard(child, child.stderr, /listening tcp (\S+)/, 'proxyd')
  return address
}

/** Runs the suite's client; one test if `id` says so. Returns what it prints. */
function runClient (suite, proxy, id) {
  return new Promise((resolve, reject) => {
    const child = start(process.execPath, ['--no-warnings', join(suite.engine, 'cli.mjs')], {
      cwd: suite.folder,
      env: { ...process.env, npm_config_base: `http://${proxy}`, npm_package_config_id: id },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let printed = ''
    const late = setTimeout(() => reject(new Error('the suite did not end')), SUITE_DEADLINE_MS)
    child.stdout.on('data', chunk => { printed += chunk })
    child.on('error', reject)
    child.on('close', code => {
      clearTimeout(late)
      if (code === 0) resolve(printed)
      else reject(new Error(`the suite's client ended with status ${code}`))
    })
  })
}

// --- the report ---------------------------------------------------------------------------------

/** The known failures of a suite, by id. Each line: suite (npm, repository or both), id, reason. */
function knownFailures (column) {
  const lines = readFileSync(join(here, 'known_failures.txt'), 'utf8').split('\n')
  const known = new Map()
  for (const line of lines.filter(line => line.trim() && !line.startsWith('#'))) {
    const [suite, id, ...reason] = line.split(/\s+/)
    if (reason.length === 0) throw new Error(`known_failures.txt gives no reason for ${id}`)
    if (suite === column || suite === 'both') known.set(id, reason.join(' '))
  }
  return known
}

function report (suite, outcomes) {
  console.log(`suite      ${suite.name}`)
  for (const kind of KINDS) {
    const all = outcomes.filter(test => test.kind === kind)
    const failed = all.filter(test => !test.passed)
    console.log(`${kind.padEnd(10)} ${all.length - failed.length} of ${all.length}`)
    for (const { id, why } of failed) console.log(`           ${id}: ${why}`)
  }
  const known = knownFailures(suite.column)
  const listed = outcomes.filter(test => LISTED.includes(test.kind))
  const surprises = [
    ...listed.filter(test => !test.passed && !known.has(test.id)).map(test => `${test.id} fails, and is not listed`),
    ...listed.filter(test => test.passed && known.has(test.id)).map(test => `${test.id} passes, and is listed as failing`),
    ...[...known.keys()].filter(id => !listed.some(test => test.id === id)).map(id => `${id} is listed, and not in the suite`)
  ]
  for (const surprise of surprises) console.error(`conformance: ${surprise}`)
  console.log(surprises.length === 0
    ? `${known.size} known failures, each with its reason in conformance/known_failures.txt`
    : `${surprises.length} not as listed in conformance/known_failures.txt`)
  return surprises.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  const isUsage = error instanceof Usage
  console.error(`conformance: ${error.message}${isUsage ? '; scripts/conformance --help lists the options' : ''}`)
  process.exitCode = isUsage ? 2 : 1
}
