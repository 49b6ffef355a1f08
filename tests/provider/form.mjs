// Reading request bodies.

export async function readBody(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

export async function readForm(req) {
  return Object.fromEntries(new URLSearchParams(await readBody(req)));
}
