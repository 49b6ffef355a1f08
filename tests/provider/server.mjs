// A real OpenID provider on loopback, for the black-box tests and the demo.
//
//   node server.mjs [--port N] [--access-life SECONDS] [--refresh-life SECONDS] [--rotate] [--claims-from userinfo] [--own-pages]
//                   [--issuer URL] [--directory DIR]
//
// With --own-pages people log in at the provider's own pages for development, else at the one form of interaction.mjs.
// With --issuer it says that it is there, such as behind a proxy.
//
// Its first line on stdout is `READY http://127.0.0.1:PORT`. It ends when its stdin does, so that it never outlives whoever
// started it. Everything is in memory, unless a directory is given: then the next one there goes on where this one ended.
// Faults are set and requests counted at /control (see faults.mjs).

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import Provider, { errors } from 'oidc-provider';

import { MemoryAdapter, keepIn } from './adapter.mjs';
import { Faults } from './faults.mjs';
import { interaction } from './interaction.mjs';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'access-life': { type: 'string', default: '10' },
    'refresh-life': { type: 'string', default: '2592000' },
    rotate: { type: 'boolean', default: false },
    'claims-from': { type: 'string', default: 'id_token' },
    'own-pages': { type: 'boolean', default: false },
    issuer: { type: 'string' },
    directory: { type: 'string' },
  },
});

// stdout is for the one line that says READY; the library's notices go where its warnings go.
console.info = console.error;

const fresh = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
let privateKey;
if (options.directory) {
  const path = join(options.directory, 'key.pem');
  if (!existsSync(path)) writeFileSync(path, fresh().export({ type: 'pkcs8', format: 'pem' }));
  privateKey = createPrivateKey(readFileSync(path));
  keepIn(join(options.directory, 'records'));
} else {
  privateKey = fresh();
}
const key = privateKey.export({ format: 'jwk' });
const day = 86_400;

// The redirect URIs of native clients match on any port (RFC 8252 section 7.3).
const client = {
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  response_types: ['code'],
};

const configuration = {
  adapter: MemoryAdapter,
  clients: [
    { ...client, client_id: 'shop', client_secret: 'shop-secret-PCtkfPSzVYBU', token_endpoint_auth_method: 'client_secret_basic' },
    { ...client, client_id: 'shop-post', client_secret: 'shop-secret-PCtkfPSzVYBU', token_endpoint_auth_method: 'client_secret_post' },
    { ...client, client_id: 'shop-public', token_endpoint_auth_method: 'none' },
    // A registration for jobs: nobody logs in to it.
    {
      client_id: 'jobs',
      client_secret: 'shop-secret-PCtkfPSzVYBU',
      redirect_uris: [],
      grant_types: ['client_credentials'],
      response_types: [],
      scope: 'reports',
    },
  ],
  jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: 'test' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: options['claims-from'] === 'userinfo',
  scopes: ['openid', 'offline_access', 'profile', 'email', 'reports'],
  pkce: { required: () => true },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: options['own-pages'] },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    // RFC 8707: one API is known. Its tokens are opaque, like all others here.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_ctx, resource) => {
        if (resource !== 'https://api.corp.example') throw new errors.InvalidTarget();
        return { scope: 'reports', accessTokenFormat: 'opaque', accessTokenTTL: Number(options['access-life']) };
      },
    },
    revocation: { enabled: true },
    userinfo: { enabled: true },
  },
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  // A refresh token for every login, whatever scopes were asked for, and independent of the browser's session.
  issueRefreshToken: async (_ctx, who) => who.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  rotateRefreshToken: options.rotate,
  ttl: {
    AccessToken: Number(options['access-life']),
    AuthorizationCode: 60,
    ClientCredentials: Number(options['access-life']),
    DeviceCode: 600,
    Grant: 30 * day,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: Number(options['refresh-life']),
    Session: day,
  },
  findAccount: async (_ctx, name) => ({
    accountId: name,
    claims: async () => ({
      sub: name,
      preferred_username: name.replace(/^sub-/, ''),
      name: `Test ${name}`,
      email: `${name}@corp.example`,
      email_verified: true,
    }),
  }),
};

const server = createServer();
server.listen(Number(options.port), '127.0.0.1', () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(options.issuer ?? address, configuration);
  const faults = new Faults();
  const answer = provider.callback();
  const login = interaction(provider);
  server.on('request', (req, res) => {
    if (req.url.startsWith('/control/')) faults.control(req, res);
    else if (req.url.startsWith('/interaction/') && !options['own-pages']) login(req, res);
    else faults.around(req, res, answer);
  });
  process.stdout.write(`READY ${address}\n`);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
