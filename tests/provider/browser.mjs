// What a person does in a browser, over plain HTTP:  node browser.mjs AUTHORIZE_URL LOGIN
//
// Follows redirects with cookies, fills in the login form, and goes on until somebody answers 200 who is not the login page.
// Prints that answer's address without its query.

const [start, login] = process.argv.slice(2);
const cookies = new Map();

async function request(url, options = {}) {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await fetch(url, { ...options, redirect: 'manual', headers: { ...options.headers, cookie } });
  for (const set of response.headers.getSetCookie()) {
    const [name, value] = set.split(';')[0].split(/=(.*)/);
    cookies.set(name, value);
  }
  return response;
}

let url = start;
let response = await request(url);
for (let hop = 0; hop < 20; hop += 1) {
  const text = await response.text();
  const action = /<form method="post" action="([^"]+)"/.exec(text)?.[1];
  const location = response.headers.get('location');
  if (location) {
    url = new URL(location, url).href;
    response = await request(url);
  } else if (action) {
    url = new URL(action, url).href;
    response = await request(url, { method: 'POST', body: new URLSearchParams({ login }) });
  } else {
    if (!response.ok) {
      console.error(`${response.status} from ${url.split('?')[0]}: ${text}`);
      process.exit(1);
    }
    console.log(url.split('?')[0]);
    process.exit(0);
  }
}
console.error('too many redirects');
process.exit(1);
