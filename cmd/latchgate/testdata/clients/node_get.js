// Get a URL with Node. Before 22.21 its fetch knows no proxy, so the CONNECT is
// made by hand, as agents' proxy libraries do; the variables are those that
// were given. What is sent is told on standard error.
'use strict';
const http = require('http');
const https = require('https');

const target = new URL(process.argv[2]);
const proxy = new URL(process.env.HTTPS_PROXY);
const credentials = decodeURIComponent(proxy.username) + ':' + decodeURIComponent(proxy.password);
const fail = (err) => { console.error(err); process.exit(1); };

http.request({
  host: proxy.hostname,
  port: proxy.port,
  method: 'CONNECT',
  path: `${target.hostname}:443`,
  headers: { 'Proxy-Authorization': 'Basic ' + Buffer.from(credentials).toString('base64') },
}).on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) fail(`CONNECT: ${answer.statusCode}`);
  const request = https.get({ socket, agent: false, servername: target.hostname, host: target.hostname, path: target.pathname }, (got) => {
    if (got.statusCode !== 200) fail(`GET: ${got.statusCode}`);
    process.stdout.write(JSON.stringify(got.headers) + '\n');
    got.pipe(process.stdout);
  }).on('error', fail);
  process.stderr.write(request._header ?? `GET ${target.pathname}\n`);
  for (const [name, value] of Object.entries(request.getHeaders())) process.stderr.write(`${name}: ${value}\n`);
}).on('error', fail).end();
