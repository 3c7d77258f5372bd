// Get a URL with the named client and print all that came back. Nothing here
// speaks of a proxy, a certificate or a credential: what makes it work is the
// environment.
'use strict';
const [name, url] = process.argv.slice(2);

// exchange says hello on a WebSocket, and gives what came until that came back.
const exchange = (socket) => new Promise((resolve, reject) => {
  const heard = [];
  socket.addEventListener('open', () => socket.send('hello'));
  socket.addEventListener('error', (event) => reject(event.error || new Error(event.message || 'the WebSocket failed')));
  socket.addEventListener('close', (event) => resolve([heard.length === 2 ? 200 : event.code, {}, heard.join('\n')]));
  socket.addEventListener('message', (event) => {
    heard.push(event.data);
    if (heard.length === 2) socket.close();
  });
});

const clients = {
  async fetch() {
    const answer = await fetch(url);
    return [answer.status, [...answer.headers], await answer.text()];
  },
  https: () => new Promise((resolve, reject) => {
    require('https').get(url, (answer) => {
      let text = '';
      answer.on('data', (chunk) => { text += chunk; }).on('end', () => resolve([answer.statusCode, answer.headers, text]));
    }).on('error', reject);
  }),
  async axios() {
    const answer = await require('axios').get(url);
    return [answer.status, answer.headers, JSON.stringify(answer.data)];
  },
  async undici() {
    const answer = await require('undici').request(url);
    return [answer.statusCode, answer.headers, await answer.body.text()];
  },
  WebSocket: () => exchange(new WebSocket(url.replace('https:', 'wss:'))),
  'undici-WebSocket': () => exchange(new (require('undici').WebSocket)(url.replace('https:', 'wss:'))),
  'bun-WebSocket': () => exchange(new WebSocket(url.replace('https:', 'wss:'), { proxy: process.env.HTTPS_PROXY })),
  ws() { // knows no proxy but that of the agent it is given
    const { HttpsProxyAgent } = require('https-proxy-agent');
    return exchange(new (require('ws'))(url.replace('https:', 'wss:'), { agent: new HttpsProxyAgent(process.env.HTTPS_PROXY) }));
  },
};

clients[name]().then(([status, head, body]) => {
  console.log(JSON.stringify(head), body);
  process.exitCode = status === 200 ? 0 : 1;
}, (err) => {
  console.error(err);
  process.exitCode = 1;
});
