// Faults on the way to the provider, and a count of what was asked of it. Both are driven over HTTP:
//
//   POST /control/fault   {"on": "refresh_token", "do": "drop_after", "times": 1}    queue a fault
//   POST /control/release                                                             let requests go that are held
//   GET  /control/counts                                                              {"refresh_token": 3, "held": 0, ...}
//   POST /control/end     {"account": "alice"}                                        end all grants of a person
//   GET  /control/ended                                                               ["alice"]: whose grants were ended
//
// `on` is a grant type, or the path of another endpoint such as "/token/revocation" or "/jwks".
// `do` is one of
//   drop_before   close the connection; the provider never sees the request
//   drop_after    the provider works, its answer is lost
//   hold          wait for /control/release, then go on
//   answer        reply {"status": N, "headers": {}, "body": "..."} from here
// `times` is how many requests it is for; "always" until the next `{"on": ..., "do": "nothing"}`.

import { endGrantsOf, endedGrants } from './adapter.mjs';
import { readBody } from './form.mjs';

export class Faults {
  #queued = new Map();
  #counts = new Map();
  #held = [];

  async control(req, res) {
    const body = await readBody(req);
    if (req.url === '/control/fault') {
      const fault = JSON.parse(body);
      if (fault.do === 'nothing') this.#queued.delete(fault.on);
      else this.#queued.set(fault.on, [...(this.#queued.get(fault.on) ?? []), { times: 1, ...fault }]);
    } else if (req.url === '/control/release') {
      for (const go of this.#held.splice(0)) go();
    } else if (req.url === '/control/end') {
      endGrantsOf(JSON.parse(body).account);
    } else if (req.url === '/control/ended') {
      res.writeHead(200, { 'content-type': 'application/json' });
      return res.end(`${JSON.stringify(endedGrants())}\n`);
    } else if (req.url !== '/control/counts') {
      res.writeHead(404);
      return res.end();
    }
    res.writeHead(200, { 'content-type': 'application/json' });
    return res.end(`${JSON.stringify({ ...Object.fromEntries(this.#counts), held: this.#held.length })}\n`);
  }

  async around(req, res, answer) {
    const path = req.url.split('?')[0];
    let on = path;
    if (req.method === 'POST' && path === '/token') {
      // The provider parses no body twice: it takes what a body parser before it left here.
      req.body = Object.fromEntries(new URLSearchParams(await readBody(req)));
      on = req.body.grant_type ?? path;
    }
    this.#counts.set(on, (this.#counts.get(on) ?? 0) + 1);
    const fault = this.#next(on);
    switch (fault?.do) {
      case undefined:
        return answer(req, res);
      case 'drop_before':
        return req.socket.destroy();
      case 'drop_after':
        res.write = () => true;
        res.end = () => req.socket.destroy();
        return answer(req, res);
      case 'hold':
        await new Promise((go) => this.#held.push(go));
        return answer(req, res);
      default:
        res.writeHead(fault.status ?? 503, fault.headers ?? { 'content-type': 'text/html' });
        return res.end(fault.body ?? '<h1>Service Unavailable</h1>');
    }
  }

  #next(on) {
    const [fault] = this.#queued.get(on) ?? [];
    if (fault && fault.times !== 'always' && --fault.times === 0) this.#queued.get(on).shift();
    return fault;
  }
}
