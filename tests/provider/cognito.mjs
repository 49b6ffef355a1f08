// An emulated Amazon Cognito (npm cognito-local) on loopback, with one user pool, one client and one user, for the black-box tests.
//
//   node cognito.mjs --callback URL --user EMAIL --password PASSWORD [--access-life SECONDS] [--port N --directory DIR]
//
// Its first line on stdout is `READY {"url", "pool", "client"}`. It speaks the AWS JSON API at / and has the login pages of a
// user pool below /oauth2. It ends when its stdin does. Its data is in a temporary directory that ends with it, unless one is
// given: then the next one there, at the same port, goes on where this one ended.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    callback: { type: 'string' },
    user: { type: 'string' },
    password: { type: 'string' },
    'access-life': { type: 'string', default: '3600' },
    port: { type: 'string' },
    directory: { type: 'string' },
  },
});

// The issuer is fixed when the module is loaded, so its port must be known before.
const anyPort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
const port = options.port ?? (await anyPort());
process.env.HOST = '127.0.0.1';
process.env.PORT = String(port);

const require = createRequire(import.meta.url);
const pino = require('pino');
const { createDefaultServer } = require('cognito-local');

const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'cognito-'));
if (!options.directory) process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
process.chdir(directory);

// stdout is for the one line that says READY.
console.log = console.error;
const server = await createDefaultServer(pino({ level: 'error' }, pino.destination(2)));
await server.start();

const url = `http://127.0.0.1:${port}`;
const call = async (target, body) => {
  const headers = { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': `AWSCognitoIdentityProviderService.${target}` };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${target}: ${await answer.text()}`);
  return answer.json();
};
// A pool of its own, with one client and one user.
async function register() {
  const { UserPool } = await call('CreateUserPool', { PoolName: 'shop' });
  const { UserPoolClient } = await call('CreateUserPoolClient', {
    UserPoolId: UserPool.Id,
    ClientName: 'shop',
    CallbackURLs: [options.callback],
  });
  await call('AdminCreateUser', {
    UserPoolId: UserPool.Id,
    Username: options.user,
    MessageAction: 'SUPPRESS',
    UserAttributes: [{ Name: 'email', Value: options.user }],
  });
  const confirmed = { UserPoolId: UserPool.Id, Username: options.user, Password: options.password, Permanent: true };
  await call('AdminSetUserPassword', confirmed);
  return { pool: UserPool.Id, client: UserPoolClient.ClientId };
}

const known = join(directory, 'registered.json');
if (!existsSync(known)) writeFileSync(known, JSON.stringify(await register()));
const { pool, client } = JSON.parse(readFileSync(known));
await call('UpdateUserPoolClient', {
  UserPoolId: pool,
  ClientId: client,
  AccessTokenValidity: Number(options['access-life']),
  TokenValidityUnits: { AccessToken: 'seconds' },
});
process.stdout.write(`READY ${JSON.stringify({ url, pool, client })}\n`);

process.stdin.resume();
for (const end of ['end', 'error']) process.stdin.on(end, () => process.exit(0));
