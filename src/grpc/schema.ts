/**
 * @file The services of `proto/` as grpc-js wants them: paths, and messages to bytes and back.
 */
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const files = [
  'metricstor/v1/query.proto',
  'metricstor/v1/admin.proto',
  'grpc/health/v1/health.proto',
];

/** A message as protobufjs reads and takes it: fields in camelCase, 64-bit integers as numbers. */
export type Message = Readonly<Record<string, unknown>>;

export type Services = Readonly<Record<'query' | 'admin' | 'health', ServiceDefinition>>;

/** Reads `proto/`, which is beside `dist/` and `src/`. */
export function loadServices(): Services {
  const root = new protobuf.Root();
  const directory = new URL('../../proto/', import.meta.url);
  root.loadSync(files.map((file) => fileURLToPath(new URL(file, directory))));
  root.resolveAll();
  return {
    query: serviceOf(root, 'metricstor.v1.Query'),
    admin: serviceOf(root, 'metricstor.v1.Admin'),
    health: serviceOf(root, 'grpc.health.v1.Health'),
  };
}

function serviceOf(root: protobuf.Root, name: string): ServiceDefinition {
  const methods = root.lookupService(name).methodsArray.map((method) => {
    const definition = methodOf(name, method);
    return [method.name, definition] as const;
  });
  return Object.fromEntries(methods);
}

function methodOf(service: string, method: protobuf.Method): MethodDefinition<Message, Message> {
  const { name, resolvedRequestType: request, resolvedResponseType: response } = method;
  if (request === null || response === null) {
    throw new Error(`${service}.${name} has unresolved types`);
  }
  return {
    path: `/${service}/${name}`,
    originalName: name,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: (message) => encode(request, message),
    requestDeserialize: (bytes) => decode(request, bytes),
    responseSerialize: (message) => encode(response, message),
    responseDeserialize: (bytes) => decode(response, bytes),
  };
}

function encode(type: protobuf.Type, message: Message): Buffer {
  return Buffer.from(type.encode(message).finish());
}

function decode(type: protobuf.Type, bytes: Uint8Array): Message {
  return type.toObject(type.decode(bytes), { longs: Number, defaults: false });
}
