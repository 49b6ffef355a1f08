// The login page: one form with one field. Whoever is named there is logged in, and everything the client asked for is granted.

import { readForm } from './form.mjs';

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export function interaction(provider) {
  return async (req, res) => {
    try {
      const { uid, params } = await provider.interactionDetails(req, res);
      if (req.method !== 'POST') return page(res, uid, params.login_hint ?? '');
      const form = await readForm(req);
      if (form.refuse) {
        const result = { error: 'access_denied', error_description: 'the user said no' };
        return await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
      }
      return await grant(provider, req, res, params, form.login);
    } catch (error) {
      res.writeHead(400, { 'content-type': 'text/plain' });
      return res.end(`${error.name}: ${error.message}\n`);
    }
  };
}

function page(res, uid, hint) {
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  res.end(`<!doctype html><title>Log in</title>
<form method="post" action="/interaction/${escape(uid)}">
<input name="login" value="${escape(hint)}" autofocus><button>Log in</button><button name="refuse" value="1">Refuse</button>
</form>\n`);
}

async function grant(provider, req, res, params, accountId) {
  if (!accountId) return page(res, req.url.split('/').at(-1), '');
  const granted = new provider.Grant({ accountId, clientId: params.client_id });
  granted.addOIDCScope(params.scope);
  const result = { login: { accountId, amr: ['pwd'] }, consent: { grantId: await granted.save() } };
  return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}
