/**
 * @file The gRPC listener: our own socket server, whose connections grpc-js takes over.
 *
 * So gRPC has the same TLS as HTTP: the same contexts, renewed at the same moment. grpc-js itself
 * takes certificates once and has no minimum version.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { Identities } from '../auth/identity.js';
import type { TlsContext } from '../auth/tls.js';
import { loadServices } from './schema.js';
import { adminService, type GrpcParts, healthService, queryService } from './services.js';

/** How long calls may go on after their connection was asked to reconnect or to close. */
const drainMs = 5000;

export interface GrpcAddress {
  readonly host: string;
  readonly port: number;
}

export class GrpcListener {
  readonly #server: GrpcServer;
  readonly #sockets: NetServer;

  private constructor(server: GrpcServer, sockets: NetServer) {
    this.#server = server;
    this.#sockets = sockets;
  }

  /** Listens; rejects when the address cannot be had. */
  static async listen(
    address: GrpcAddress,
    parts: GrpcParts,
    tls: TlsContext | undefined,
  ): Promise<GrpcListener> {
    const server = new GrpcServer();
    const services = loadServices();
    server.addService(services.query, queryService(parts));
    server.addService(services.admin, adminService(parts));
    const names = ['metricstor.v1.Query', 'metricstor.v1.Admin'];
    server.addService(services.health, healthService(parts, names));
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const sockets =
      tls === undefined
        ? createServer((socket) => injector.injectConnection(socket))
        : tlsSockets(tls, injector);
    sockets.listen(address.port, address.host);
    await once(sockets, 'listening');
    return new GrpcListener(server, sockets);
  }

  get address(): AddressInfo {
    const address = this.#sockets.address();
    if (address === null || typeof address === 'string') {
      throw new Error('the gRPC listener is closed');
    }
    return address;
  }

  /** Stops accepting and waits for calls, at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#sockets.close();
    const finished = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    const timer = setTimeout(() => this.#server.forceShutdown(), Math.min(timeoutMs, drainMs));
    await finished;
    clearTimeout(timer);
  }
}

type Injector = ReturnType<GrpcServer['createConnectionInjector']>;

function tlsSockets(tls: TlsContext, injector: Injector): NetServer {
  const identities = new Identities();
  const sockets = createTlsServer({ ...tls.serverOptions(), ALPNProtocols: ['h2'] }, (socket) => {
    // grpc-js would take a client with an invalid certificate for one without any.
    if (identities.of(socket, tls.asksForCertificates).kind === 'invalid') {
      socket.destroy();
    } else {
      injector.injectConnection(socket);
    }
  });
  let clientCaDigest = tls.clientCaDigest;
  const renewable = {
    setSecureContext: (options: Parameters<typeof sockets.setSecureContext>[0]): void => {
      sockets.setSecureContext(options);
      if (clientCaDigest !== tls.clientCaDigest) {
        clientCaDigest = tls.clientCaDigest;
        injector.drain(drainMs);
      }
    },
  };
  tls.adopt(renewable);
  sockets.on('close', () => tls.forget(renewable));
  return sockets;
}
