/// `status`: facts about the VM, from what the helper already knows (§2).
extension Helper {
    var status: JSON {
        let state = self.state.current
        let config = surroundings.config
        let live = state.live
        let origin = state.running?.origin
        let golden = origin as? GoldenSnapshot
        return .record([
            "state": JSON(state.phase.rawValue), "backend": JSON("vz"), "accelerator": JSON(surroundings.facts.accelerator),
            "vmm_api_state": JSON((live?.apiState ?? .stopped).rawValue), "boot_path": JSON(orNull: state.bootPath?.rawValue),
            "boot_ms": JSON(orNull: state.bootMs), "booted_at": JSON(orNull: state.bootedAt), "cpus": JSON(config.cpus),
            "memory_mib": JSON(config.memoryMib), "vm_id": JSON(orNull: live?.vm.id),
            "vsock_cid": live?.prepared.hello.vsockCid.map(JSON.init),
            "host_rss_bytes": JSON(orNull: live?.vm.machine.residentBytes), "epoch": JSON(orNull: live?.epoch), "image": config.image?.facts ?? .null,
            "guest": live?.guestFacts ?? .null, "channels": .array(live?.vm.channelStatus.map(\.json) ?? []),
            "last_reset": state.lastReset?.json ?? .null,
            "golden": golden.map {
                .record(["golden_hash": JSON($0.hash), "created_at": JSON($0.manifest.createdAt), "bytes": JSON($0.bytes)])
            } ?? .null,
            "standby": (state.running?.standby.status ?? StandbyStatus(state: "none", since: timestamp())).json,
            "exec": state.exec.map {
                .record(["command_id": JSON($0.request.commandId), "tool": JSON($0.request.tool), "started_at": JSON($0.startedAt)])
            } ?? .null,
        ])
    }
}

extension ImageManifest {
    fileprivate var facts: JSON {
        .record([
            "image_digest": JSON(imageDigest), "image_version": JSON(imageVersion), "recipe": JSON(recipe),
            "rootfs_digest": JSON(rootfs.digest),
        ])
    }
}
