// What the demo asks the provider:  node ask.mjs userinfo|active ISSUER  <TOKEN
//
//   userinfo   prints who the access token belongs to, or "refused"
//   active     prints whether the provider holds the token for alive (RFC 7662)

import { readFileSync } from 'node:fs';

const [what, issuer] = process.argv.slice(2);
const token = readFileSync(0, 'utf8').trim();

if (what === 'userinfo') {
  const response = await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${token}` } });
  console.log(response.ok ? (await response.json()).preferred_username : 'refused');
} else {
  const authorization = `Basic ${Buffer.from('shop:shop-secret-PCtkfPSzVYBU').toString('base64')}`;
  const body = new URLSearchParams({ token });
  const response = await fetch(`${issuer}/token/introspection`, { method: 'POST', headers: { authorization }, body });
  console.log((await response.json()).active);
}
