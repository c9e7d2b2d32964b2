// The gateway listens on all interfaces and has no setting for that.
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, host, ...rest) {
  return listen.call(this, port, typeof port === "number" ? host || "127.0.0.1" : host, ...rest);
};
