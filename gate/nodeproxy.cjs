// Loaded through NODE_OPTIONS by `latchgate exec`. Node before 22.21 and 24.5
// reads no proxy variable; this takes fetch, http and https through HTTPS_PROXY,
// each connection in a CONNECT tunnel. Newer ones, Deno and Bun do it themselves;
// agents and dispatchers that a program makes for its own proxy are left alone.
'use strict';
(function () {
  const variable = process.env.HTTPS_PROXY || process.env.https_proxy;
  const { deno, bun } = process.versions;
  if (!variable || deno || bun || process.allowedNodeEnvironmentFlags.has('--use-env-proxy')) return;
  const http = require('http');
  const https = require('https');
  const tls = require('tls');

  const proxy = new URL(variable);
  const credentials = decodeURIComponent(proxy.username) + ':' + decodeURIComponent(proxy.password);
  const headers = proxy.username ? { 'Proxy-Authorization': 'Basic ' + Buffer.from(credentials).toString('base64') } : {};
  const exempt = (process.env.NO_PROXY || process.env.no_proxy || '').split(',').map((name) => name.trim().toLowerCase()).filter(Boolean);

  function isDirect(host, port) {
    const name = String(host || 'localhost').replace(/^\[|\]$/g, '').toLowerCase();
    return (name === proxy.hostname && String(port) === proxy.port) ||
      exempt.some((e) => e === '*' || e === name || name.endsWith('.' + e.replace(/^\*?\./, '')));
  }

  // tunnel calls done(error) or done(null, socket) once the proxy has answered.
  function tunnel(host, port, done) {
    const authority = (host.includes(':') && host[0] !== '[' ? `[${host}]` : host) + ':' + port;
    http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: authority, headers: { Host: authority, ...headers }, agent: false })
      .once('connect', (answer, socket, head) => {
        if (answer.statusCode !== 200) {
          socket.destroy();
          done(new Error(`the proxy refused ${authority}: ${answer.statusCode} ${answer.headers['latchgate-error'] || answer.statusMessage}`));
          return;
        }
        if (head.length > 0) socket.unshift(head);
        done(null, socket);
      })
      .once('error', done)
      .end();
  }

  for (const { Agent } of [http, https]) {
    const connect = Agent.prototype.createConnection;
    Agent.prototype.createConnection = function (options, done) {
      if (typeof done !== 'function' || options.socketPath || options.socket || isDirect(options.host, options.port)) {
        return connect.apply(this, arguments);
      }
      tunnel(options.host, options.port, (err, socket) => {
        if (err) done(err);
        else done(null, Agent === https.Agent ? connect.call(this, { ...options, socket }) : socket);
      });
      return undefined; // done is called later
    };
  }

  // fetch, and undici where it is a package too, share this dispatcher. Node
  // makes it when one of fetch's classes is first looked at.
  void globalThis.Headers;
  const shared = Symbol.for('undici.globalDispatcher.1');
  const direct = globalThis[shared];
  if (!direct) return; // before fetch
  const Dispatcher = direct.constructor;
  class TunnelDispatcher extends Dispatcher {
    dispatch(options, handler) {
      const { hostname, port } = new URL(options.origin);
      return isDirect(hostname, port) ? direct.dispatch(options, handler) : super.dispatch(options, handler);
    }
  }
  globalThis[shared] = new TunnelDispatcher({
    connect({ hostname, port, protocol, servername }, done) {
      tunnel(hostname, port || (protocol === 'https:' ? 443 : 80), (err, socket) => {
        if (err || protocol !== 'https:') return done(err, socket);
        const secure = tls.connect({ socket, servername: servername || hostname, ALPNProtocols: ['http/1.1'] }, () => done(null, secure));
        secure.once('error', done);
        return undefined;
      });
    },
  });
})();
